"""The outside world as the rest of the package sees it. Adapters implement these; tests have fakes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from scenario_runner.core.cuda import CudaHits
from scenario_runner.core.faults import FaultList, FaultRecord, GpuSeat
from scenario_runner.core.samples import LoadOrder, Samples
from scenario_runner.core.states import BudgetState, NodeState, PodState, ServiceState, State, WorkloadState

F = TypeVar("F", bound=Callable[..., Any])


def changes_the_world(method: F) -> F:
    """Mark a port method that leaves something behind: it exists only inside `ctx.changing(undo)`."""
    method.changes_the_world = True  # type: ignore[attr-defined]
    return method


@dataclass(frozen=True)
class Injection:
    """A fault as it is ordered from an agent; `name` makes the order idempotent. Times in seconds."""

    name: str
    node: str
    xid: int
    gpu: str  # UUID
    run: str
    message: str | None = None
    duration: float | None = None
    ttl: float | None = None
    max_lifetime: float | None = None

    @property
    def fault_id(self) -> str:
        return f"{self.node}~{self.name}"


@dataclass(frozen=True)
class Arming:
    """
    A CUDA fault as it is ordered from an agent: rules or, without any, a profile by name or, without that, of an XID.

    `override` replaces these fields in every rule of the profile. Times in seconds.
    """

    name: str
    node: str
    gpu: str  # UUID
    run: str
    profile: str = ""
    xid: int = 0
    override: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Mapping[str, Any], ...] = ()
    duration: float | None = None
    ttl: float | None = None
    max_lifetime: float | None = None

    @property
    def fault_id(self) -> str:
        return f"{self.node}~{self.name}"


class AgentReads(Protocol):
    """What may be asked of the fault agents at any time. Raise TargetUnreachable or TargetRefused."""

    def gpus(self, node: str) -> tuple[GpuSeat, ...]: ...
    def faults(self) -> FaultList: ...
    def fault(self, fault_id: str) -> FaultRecord | None: ...
    def cuda_hits(self, fault_id: str) -> CudaHits:
        """Which processes a CUDA fault has hit until now, also when it is over."""
        ...


class Agent(AgentReads, Protocol):
    """The fault agents of the cluster, behind their gateway."""

    @changes_the_world
    def inject(self, injection: Injection) -> FaultRecord: ...
    @changes_the_world
    def arm(self, arming: Arming) -> FaultRecord:
        """Let CUDA calls of processes with the library fail from now on, until the fault is recovered or ends."""
        ...

    def recover(self, fault_id: str) -> FaultRecord:
        """Take a fault back. Safe twice; an unknown id gets a tombstone, so that a late injection of it fails."""
        ...

    def renew(self, fault_id: str, ttl: float) -> FaultRecord:
        """Say that the run still lives; the answer's status tells whether the fault still does."""
        ...


@dataclass(frozen=True)
class Watch:
    """
    What to follow: "nodes", "pods", "events" (`namespace` "": all) or a custom resource "group/version/plural".

    `selector` and `name` narrow it, so that what a server sends does not grow with the cluster around it.
    """

    what: str
    namespace: str = ""
    selector: str = ""  # of labels
    name: str = ""


@dataclass(frozen=True)
class Seen:
    """One message of a watch: an object's new state, its end, or that the watch lost its thread for a while (gap)."""

    watch: Watch
    kind: str  # "state", "gone", "synced" (the first list is complete), "gap"
    state: State | None = None
    initial: bool = False
    detail: str = ""


class Subscription(Protocol):
    """A running watch."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Edit:
    """
    One leaf of an object that was changed. Lists are addressed by key, never by index.

    Path parts are field names or "key=value" for the element of a list, e.g.
    ("spec", "template", "spec", "containers", "name=main", "env", "name=LD_PRELOAD", "value").
    `None` stands for "not there".
    """

    path: tuple[str, ...]
    was: Any
    became: Any


@dataclass(frozen=True)
class ObjectRef:
    """One object of the cluster."""

    api_version: str  # "v1", "apps/v1"
    kind: str
    namespace: str  # "" for cluster-scoped objects
    name: str
    uid: str = ""


@dataclass(frozen=True)
class Document:
    """A fresh read of an object, for edits."""

    ref: ObjectRef
    resource_version: str
    content: Mapping[str, Any]


class ClusterReads(Protocol):
    """What may be asked of the API server. Raise TargetUnreachable or TargetRefused; None: does not exist."""

    def identity(self) -> str:
        """The uid of namespace kube-system."""
        ...

    def namespaces(self) -> tuple[str, ...]: ...
    def node(self, name: str) -> NodeState | None: ...
    def nodes(self, selector: str = "", *, cordoned: bool = False) -> tuple[NodeState, ...]:
        """`cordoned`: only those that take no pods."""
        ...

    def node_names(self, selector: str = "") -> tuple[str, ...]:
        """Of a whole cluster at the price of its names: a node itself may have 20 KiB."""
        ...

    def pods(self, namespace: str, selector: str = "", *, name: str = "", node: str = "") -> tuple[PodState, ...]:
        """Pods of one namespace, or of all for ""; of that name, on that node."""
        ...

    def workload(self, kind: str, namespace: str, name: str) -> WorkloadState | None: ...
    def workloads(self, namespace: str) -> tuple[WorkloadState, ...]: ...
    def service(self, namespace: str, name: str) -> ServiceState | None: ...
    def services(self, namespace: str) -> tuple[ServiceState, ...]: ...
    def budgets(self) -> tuple[BudgetState, ...]:
        """The PodDisruptionBudgets of all namespaces that cover any pod."""
        ...

    def logs(self, namespace: str, pod: str, *, previous: bool, max_bytes: int) -> str: ...
    def describe(self, kind: str, namespace: str, name: str) -> str:
        """The object as YAML, for evidence."""
        ...

    def read(self, ref: ObjectRef) -> Document | None:
        """The whole object, whatever its uid."""
        ...

    def refuses_pod(self, namespace: str, pod: Mapping[str, Any]) -> str:
        """Why the API server would not admit such a pod, which is not made; "" if it would, and if nobody can say."""
        ...

    def follow(self, watch: Watch, sink: Callable[[Seen], None]) -> Subscription:
        """Tell `sink` (from a thread of its own) the states of all objects, then each change, until closed."""
        ...


class Cluster(ClusterReads, Protocol):
    """The Kubernetes API."""

    @changes_the_world
    def edit(self, ref: ObjectRef, resource_version: str, edits: tuple[Edit, ...]) -> Document:
        """Make the edits in one request, conditional on uid and version; TargetRefused(code="Conflict") otherwise."""
        ...

    @changes_the_world
    def claim(self, ref: ObjectRef, claim: str) -> Document:
        """
        Put a claim ("<run>/<number>") on the object with that uid, before anything else of it is changed.

        TargetRefused with code "Claimed" when another one is on it, "Conflict" when it is gone or another object.
        """
        ...

    @changes_the_world
    def edit_claimed(self, ref: ObjectRef, claim: str, edits: tuple[Edit, ...]) -> Document:
        """
        Make the edits in one request that fails once uid or claim are others, however late it arrives.

        TargetRefused(code="Conflict") then, and when a value is no longer what its edit says it was.
        """
        ...

    @changes_the_world
    def create(self, ref: ObjectRef, claim: str, content: Mapping[str, Any]) -> Document:
        """Make an object of exactly this name with the claim on it; TargetRefused(code="AlreadyExists")."""
        ...

    @changes_the_world
    def delete(self, ref: ObjectRef) -> None:
        """Order the end of the object with that uid; TargetRefused(code="Conflict") when it is another one by now."""
        ...


@dataclass(frozen=True)
class CudaLibrary:
    """The library that makes CUDA calls fail, for one kind of machine ("x86_64", "aarch64")."""

    content: bytes
    machine: str


class CudaLibraries(Protocol):
    """Where the library comes from."""

    def library(self, machine: str) -> CudaLibrary:
        """Raise StepBroken with a sentence when there is none for that kind of machine."""
        ...


class LoadRun(Protocol):
    """A load that is being sent."""

    @property
    def samples(self) -> Samples:
        """Grows while the load runs; its clock is the run's own monotonic clock."""
        ...

    def stop(self) -> None:
        """Start no more requests; those in flight go on until they end or meet their timeout."""
        ...

    @property
    def finished(self) -> bool:
        """All requests have ended and all samples are here."""
        ...

    @property
    def broken(self) -> str:
        """Why the load can not be trusted (the worker died, it started requests late); "" while it can."""
        ...

    def close(self) -> None:
        """End it at once."""
        ...


class LoadSource(Protocol):
    """Sends requests from a process of its own."""

    def start(self, order: LoadOrder) -> LoadRun: ...
