"""Small pictures of Kubernetes objects: what the runner looks at, and no more."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Condition:
    """One condition of a node or a pod."""

    status: str  # "True", "False", "Unknown"
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class NodeState:
    """A node as the API server shows it."""

    name: str
    uid: str
    unschedulable: bool = False
    conditions: Mapping[str, Condition] = field(default_factory=dict)  # by type
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    boot_id: str = ""

    @property
    def ready(self) -> bool:
        condition = self.conditions.get("Ready")
        return condition is not None and condition.status == "True"


@dataclass(frozen=True)
class PodState:
    """A pod as the API server shows it."""

    namespace: str
    name: str
    uid: str
    node: str = ""
    phase: str = "Pending"
    ready: bool = False
    deleting: bool = False
    restarts: int = 0
    waiting: str = ""  # reason of the first waiting container, e.g. CrashLoopBackOff
    died: bool = False  # a container ended with an error of its own, before anybody told the pod to go
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkloadState:
    """A workload: how many pods it wants and which labels they carry."""

    kind: str
    namespace: str
    name: str
    uid: str
    replicas: int
    selector: str
    api_version: str = "apps/v1"


@dataclass(frozen=True)
class ServiceState:
    """A service, and where this process can reach it."""

    namespace: str
    name: str
    cluster_ip: str
    ports: Mapping[str, int] = field(default_factory=dict)  # port name (or number as text) -> port
    way: str = "direct"  # how requests of ours get there: direct, api-proxy, node-port, load-balancer
    urls: Mapping[int, str] = field(
        default_factory=dict
    )  # port -> base URL on that way; none for what way can not have


@dataclass(frozen=True)
class BudgetState:
    """A PodDisruptionBudget: which pods of its namespace it covers, and how many of them may be evicted now."""

    namespace: str
    name: str
    selector: str
    allowed: int
    demand: str = ""  # "minAvailable 2"


@dataclass(frozen=True)
class EventState:
    """A Kubernetes Event."""

    namespace: str
    name: str
    uid: str
    kind: str  # of the object it is about
    object_name: str
    reason: str
    message: str
    type: str = "Normal"
    count: int = 1


@dataclass(frozen=True)
class ResourceState:
    """An object of a custom resource, e.g. a remediation (RebootNode); `state` is its newest condition in words."""

    kind: str
    namespace: str
    name: str
    uid: str
    node: str = ""  # spec.nodeName, where it has one
    state: str = ""


State = NodeState | PodState | EventState | ResourceState
