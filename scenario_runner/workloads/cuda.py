"""The edits that put the CUDA library into a workload, in passthrough: it does nothing until an agent arms a fault."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scenario_runner.core.edits import leaf
from scenario_runner.core.ports import Document, Edit
from scenario_runner.errors import StepBroken
from scenario_runner.workloads.pod_templates import Path, PodTemplate, pod_templates

LIBRARY_FILE = "libscenario_cuda.so"
CONTROL_FOLDER = "/run/scenario-runner/cuda"  # of the node: where its agent keeps the control file and the hits
_LIBRARY = "/opt/scenario-runner/library"  # in the container
_CONTROL = "/opt/scenario-runner/cuda"
_HITS = "/opt/scenario-runner/hits"
_PRELOAD = f"{_LIBRARY}/{LIBRARY_FILE}"
_LIBRARY_VOLUME = "scenario-runner-library"
_CONTROL_VOLUME = "scenario-runner-cuda"


def cuda_edits(document: Document, config_map: str, containers: Sequence[str]) -> list[Edit]:
    """
    What has to change so that `containers` (all, if empty) load the library from a ConfigMap.

    Nothing is left to change where it is in already. StepBroken for containers that there are not, and for an
    LD_PRELOAD that can not be added to.
    """
    templates = pod_templates(document)
    _check_names(document, templates, containers)
    edits = [edit for one in templates for edit in _edits(document, one, config_map, containers)]
    return [edit for edit in edits if edit.was != edit.became]


def in_place_edits(document: Document) -> list[Edit]:
    """What has to change so that an old pod goes before its successor comes, as those of other kinds do anyway."""
    strategy = ("spec", "strategy")
    if document.ref.kind != "Deployment" or leaf(document.content, (*strategy, "type")) == "Recreate":
        return []
    wanted = {"maxSurge": 0, "maxUnavailable": 1}
    paths = {name: (*strategy, "rollingUpdate", name) for name in wanted}
    edits = [Edit(path, leaf(document.content, path), wanted[name]) for name, path in paths.items()]
    return [edit for edit in edits if edit.was != edit.became]


@dataclass(frozen=True)
class EnvSource:
    """A ConfigMap or Secret from which a container takes all its variables, with a prefix before each name."""

    container: str
    name: str
    prefix: str


def env_sources(document: Document, containers: Sequence[str]) -> list[EnvSource]:
    """The ConfigMaps from which `containers` (all, if empty) may get an LD_PRELOAD."""
    return list(_env_sources(document, containers, "configMapRef"))


def unread_secrets(document: Document, containers: Sequence[str]) -> list[str]:
    """A sentence for each Secret from which they may get one: what stands in it is nobody's business."""
    return [
        f"Secret {one.name} (envFrom of {one.container}) is not read: an LD_PRELOAD in it is hidden by ours meanwhile"
        for one in _env_sources(document, containers, "secretRef")
    ]


def _env_sources(document: Document, containers: Sequence[str], kind: str) -> Iterator[EnvSource]:
    """An LD_PRELOAD in the container itself hides whatever stands elsewhere."""
    for template in pod_templates(document):
        for name, path in template.containers.items():
            if (containers and name not in containers) or leaf(document.content, (*path, "env", "name=LD_PRELOAD")):
                continue
            for one in leaf(document.content, (*path, "envFrom")) or ():
                prefix, source = str(one.get("prefix") or ""), leaf(one, (kind, "name"))
                if source and "LD_PRELOAD".startswith(prefix):
                    yield EnvSource(name, str(source), prefix)


def pin_edits(document: Document, hosts: Sequence[str]) -> list[Edit]:
    """What has to change so that pods run only on these nodes (values of kubernetes.io/hostname), as well as before."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": sorted(hosts)}
    edits = []
    for template in pod_templates(document):
        path = (*template.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        was = leaf(document.content, path)
        terms = (was or {}).get("nodeSelectorTerms") or [{}]  # one of them has to hold, and in it all expressions
        pinned = [{**term, "matchExpressions": [*(term.get("matchExpressions") or ()), here]} for term in terms]
        edits.append(Edit(path, was, {"nodeSelectorTerms": pinned}))
    return edits


def carried_config_map(document: Document) -> str:
    """The ConfigMap from which the workload loads the library already; "" when it does not."""
    for template in pod_templates(document):
        volume = leaf(document.content, (*template.spec, "volumes", f"name={_LIBRARY_VOLUME}"))
        if volume:
            return str(leaf(volume, ("configMap", "name")) or "")
    return ""


def _check_names(document: Document, templates: Sequence[PodTemplate], wanted: Sequence[str]) -> None:
    there = sorted({name for one in templates for name in one.containers})
    unknown = [name for name in wanted if name not in there]
    if unknown:
        who = f"{document.ref.kind} {document.ref.name}"
        raise StepBroken(f"{who} has no container {', '.join(unknown)}; it has {', '.join(there)}")


def _edits(document: Document, template: PodTemplate, config_map: str, wanted: Sequence[str]) -> Iterator[Edit]:
    chosen = {name: path for name, path in template.containers.items() if not wanted or name in wanted}
    if not chosen:
        return
    volumes = (
        {"name": _LIBRARY_VOLUME, "configMap": {"name": config_map, "defaultMode": 0o644}},
        {"name": _CONTROL_VOLUME, "hostPath": {"path": CONTROL_FOLDER, "type": "DirectoryOrCreate"}},
    )
    for volume in volumes:
        yield _set(document, (*template.spec, "volumes", f"name={volume['name']}"), volume)
    for name, path in chosen.items():
        for mount in _mounts():
            yield _set(document, (*path, "volumeMounts", f"mountPath={mount['mountPath']}"), mount)
        for variable in _variables(name, _preload(document, path, name)):
            yield _set(document, (*path, "env", f"name={variable['name']}"), variable)


def _mounts() -> tuple[dict[str, Any], ...]:
    """The folder, not the file, of the control file: it is replaced by renaming. Hits need a place to be written."""
    return (
        {"name": _LIBRARY_VOLUME, "mountPath": _LIBRARY, "readOnly": True},
        {"name": _CONTROL_VOLUME, "mountPath": _CONTROL, "readOnly": True},
        {"name": _CONTROL_VOLUME, "mountPath": _HITS, "subPath": "hits"},
    )


def _variables(container: str, preload: str) -> tuple[dict[str, Any], ...]:
    pod = "$(SCENARIO_RUNNER_CUDA_NAMESPACE)/$(SCENARIO_RUNNER_CUDA_POD)"
    return (
        _told("SCENARIO_RUNNER_CUDA_NAMESPACE", "metadata.namespace"),
        _told("SCENARIO_RUNNER_CUDA_POD", "metadata.name"),
        {"name": "SCENARIO_RUNNER_CUDA_OWNER", "value": f"{pod}/{container}"},
        {"name": "SCENARIO_RUNNER_CUDA_CONTROL", "value": f"{_CONTROL}/control"},
        {"name": "SCENARIO_RUNNER_CUDA_HITS", "value": _HITS},
        {"name": "LD_PRELOAD", "value": preload},
    )


def _told(name: str, field: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}}


def _preload(document: Document, container: Path, name: str) -> str:
    """Ours first, as a look-up that another library takes over before us would pass us by."""
    now = leaf(document.content, (*container, "env", "name=LD_PRELOAD"))
    if now is None:
        return _PRELOAD
    if now.get("value") is None and now.get("valueFrom"):
        raise StepBroken(
            f"container {name} of {document.ref.kind} {document.ref.name} takes LD_PRELOAD from elsewhere (valueFrom), "
            "and what comes from there can not be added to: write it as a value, or name other containers"
        )
    before = [one for one in str(now.get("value") or "").replace(" ", ":").split(":") if one]
    return ":".join([_PRELOAD, *(one for one in before if one != _PRELOAD)])


def _set(document: Document, path: Path, value: dict[str, Any]) -> Edit:
    return Edit(path, leaf(document.content, path), value)
