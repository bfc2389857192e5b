"""The table of workloads: where each kind keeps its pod templates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scenario_runner.core.edits import leaf
from scenario_runner.core.ports import Document, ObjectRef
from scenario_runner.core.targets import WorkloadTarget
from scenario_runner.errors import StepBroken

Path = tuple[str, ...]
_Json = Mapping[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """One template: the path of what holds its volumes, and of each of its containers by name."""

    spec: Path
    containers: Mapping[str, Path]


@dataclass(frozen=True)
class Kind:
    """One kind of workload, in the version that is read."""

    api_version: str
    kind: str
    templates: Callable[[_Json], Iterator[PodTemplate]]


def document_ref(target: WorkloadTarget) -> ObjectRef:
    """The object behind a workload target."""
    kind = _KINDS[target.kind]
    return ObjectRef(kind.api_version, kind.kind, target.namespace, target.name, target.uid)


def pod_templates(document: Document) -> tuple[PodTemplate, ...]:
    """Every pod template of a workload; StepBroken for a kind that has none, or one without containers."""
    kind = _KINDS.get(document.ref.kind.lower())
    found = () if kind is None else tuple(kind.templates(document.content))
    if not any(one.containers for one in found):
        raise StepBroken(f"{document.ref.kind} {document.ref.name} has no pod template with a container")
    return found


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


_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "deployment": Kind("apps/v1", "Deployment", _apps),
        "statefulset": Kind("apps/v1", "StatefulSet", _apps),
        "daemonset": Kind("apps/v1", "DaemonSet", _apps),
        "leaderworkerset": Kind("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", _leader_worker_set),
        "dynamographdeployment": Kind("nvidia.com/v1alpha1", "DynamoGraphDeployment", _graph_deployment),
    }
)
