"""Where each kind of workload keeps its pod templates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scenario_runner.core.edits import leaf
from scenario_runner.core.ports import Document, ObjectRef
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.errors import StepBroken
from scenario_runner.workloads.kinds import KINDS

Path = tuple[str, ...]
_Json = Mapping[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """One template: the path of what holds its volumes, and of each of its containers by name."""

    spec: Path
    containers: Mapping[str, Path]


def document_ref(target: WorkloadTarget) -> ObjectRef:
    """The object behind a workload target."""
    return ObjectRef(target.api_version, KINDS[target.kind].kind, target.namespace, target.name, target.uid)


def pod_templates(document: Document) -> tuple[PodTemplate, ...]:
    """Every pod template of a workload; StepBroken for a kind that has none, or one without containers."""
    templates = _TEMPLATES.get(document.ref.kind)
    found = () if templates is None else tuple(templates(document.content))
    if not any(one.containers for one in found):
        raise StepBroken(f"{document.ref.kind} {document.ref.name} has no pod template with a container")
    return found


def pods(document: Document) -> Iterator[dict[str, Any]]:
    """
    A pod (metadata and spec) as each template asks for it, for an API server that shall say whether it would admit it.

    What an operator adds to a template that is only a part of a pod lacks in it; such a container gets some image.
    """
    for template in pod_templates(document):
        spec = dict(leaf(document.content, template.spec) or {})
        main = spec.pop("mainContainer", None)
        added = [] if main is None else [{"name": "main", "image": "scenario-runner/unknown", **main}]
        spec["containers"] = [*added, *(spec.get("containers") or ())]
        if spec["containers"]:
            about = leaf(document.content, (*template.spec[:-1], "metadata")) or {}
            kept = {key: dict(about[key]) for key in ("labels", "annotations") if about.get(key)}
            yield {"metadata": kept, "spec": spec}


def _listed(content: _Json, spec: Path) -> PodTemplate:
    """A pod spec as Kubernetes knows it."""
    containers = leaf(content, (*spec, "containers")) or ()
    names = [str(one["name"]) for one in containers]
    return PodTemplate(spec, {name: (*spec, "containers", f"name={name}") for name in names})


def _apps(content: _Json) -> Iterator[PodTemplate]:
    yield _listed(content, ("spec", "template", "spec"))


def _leader_worker_set(content: _Json) -> Iterator[PodTemplate]:
    """Leaders have the workers' template unless they have one of their own."""
    for name in ("leaderTemplate", "workerTemplate"):
        if leaf(content, ("spec", "leaderWorkerTemplate", name)) is not None:
            yield _listed(content, ("spec", "leaderWorkerTemplate", name, "spec"))


def _graph_deployment(content: _Json) -> Iterator[PodTemplate]:
    """v1beta1 lists components with whole templates; v1alpha1 maps services to additions, with one main container."""
    for component in leaf(content, ("spec", "components")) or ():
        yield _listed(content, ("spec", "components", f"name={component['name']}", "podTemplate", "spec"))
    for name, service in (leaf(content, ("spec", "services")) or {}).items():
        spec = ("spec", "services", str(name), "extraPodSpec")
        extra = _listed(content, spec).containers if service.get("extraPodSpec") else {}
        yield PodTemplate(spec, {"main": (*spec, "mainContainer"), **extra})


_TEMPLATES: Mapping[str, Callable[[_Json], Iterator[PodTemplate]]] = MappingProxyType(
    {
        "Deployment": _apps,
        "StatefulSet": _apps,
        "DaemonSet": _apps,
        "LeaderWorkerSet": _leader_worker_set,
        "DynamoGraphDeployment": _graph_deployment,
    }
)
