"""The table of workloads: what the API server calls each kind, how many pods it wants and which they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_Json = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of workload. `pods` counts what it wants, `selector` is the LabelSelector of them."""

    kind: str  # as objects spell it
    api_versions: tuple[str, ...]  # the first one that the cluster knows is used
    pods: Callable[[_Json], int]
    selector: Callable[[_Json], _Json]
    tells_what_it_saw: bool = True  # its status names the generation that it is about

    @property
    def plural(self) -> str:
        return f"{self.kind.lower()}s"

    @property
    def built_in(self) -> bool:
        return self.api_versions[0] == "apps/v1"


def _spec(content: _Json) -> _Json:
    spec: _Json = content.get("spec") or {}
    return spec


def _replicas(content: _Json) -> int:
    """One where nothing is said, as the API server has it."""
    wanted = content.get("replicas")
    return 1 if wanted is None else int(wanted)


def _scheduled(content: _Json) -> int:
    return int((content.get("status") or {}).get("desiredNumberScheduled", 0))


def _groups(content: _Json) -> int:
    """Each replica is a group of a leader and its workers."""
    size = (_spec(content).get("leaderWorkerTemplate") or {}).get("size")
    return _replicas(_spec(content)) * (1 if size is None else int(size))


def _components(content: _Json) -> int:
    """Each replica of a component that spans several nodes is as many pods."""
    spec = _spec(content)
    every = [*(spec.get("components") or ()), *(spec.get("services") or {}).values()]
    return sum(_replicas(one) * int((one.get("multinode") or {}).get("nodeCount", 1)) for one in every)


def _declared(content: _Json) -> _Json:
    selector: _Json = _spec(content).get("selector") or {}
    return selector


def _named_by(label: str) -> Callable[[_Json], _Json]:
    """Pods whose controller writes the workload's name into this label."""
    return lambda content: {"matchLabels": {label: content["metadata"]["name"]}}


_APPS = ("apps/v1",)
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "deployment": Kind("Deployment", _APPS, lambda content: _replicas(_spec(content)), _declared),
        "statefulset": Kind("StatefulSet", _APPS, lambda content: _replicas(_spec(content)), _declared),
        "daemonset": Kind("DaemonSet", _APPS, _scheduled, _declared),
        "leaderworkerset": Kind(
            "LeaderWorkerSet",
            ("leaderworkerset.x-k8s.io/v1",),
            _groups,
            _named_by("leaderworkerset.sigs.k8s.io/name"),
            tells_what_it_saw=False,
        ),
        "dynamographdeployment": Kind(
            "DynamoGraphDeployment",
            ("nvidia.com/v1beta1", "nvidia.com/v1alpha1"),
            _components,
            _named_by("nvidia.com/dynamo-graph-deployment-name"),
        ),
    }
)
