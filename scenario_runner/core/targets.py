"""Resolved targets: what a name in a scenario stands for in this cluster, decided once, before the first step."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NodeTarget:
    """One node."""

    name: str
    uid: str


@dataclass(frozen=True)
class NodesTarget:
    """Several nodes, in the order of their names."""

    nodes: tuple[NodeTarget, ...]


@dataclass(frozen=True)
class GpuTarget:
    """
    One GPU of one node.

    `held_by` is the pod (namespace/name) that held it when the plan was made, `workload` the target for whose sake the
    GPU was chosen; both may be ''.
    """

    node: NodeTarget
    index: int
    uuid: str
    pci: str
    held_by: str = ""
    workload: str = ""


@dataclass(frozen=True)
class WorkloadTarget:
    """A workload and the labels of its pods."""

    kind: str  # lower case: deployment, statefulset, ...
    namespace: str
    name: str
    uid: str
    selector: str  # label selector of its pods
    replicas: int
    api_version: str = "apps/v1"


@dataclass(frozen=True)
class PodTarget:
    """One pod."""

    namespace: str
    name: str
    uid: str
    node: str


@dataclass(frozen=True)
class ChatPrompt:
    """How an OpenAI-compatible endpoint is asked: chat (or completions) with a prompt."""

    api: str  # "chat" or "completions"
    model: str  # "auto": the first one that /v1/models lists, looked up when the load starts
    prompt: str
    max_tokens: int
    stream: bool


@dataclass(frozen=True)
class EndpointTarget:
    """Something that answers HTTP requests: a service or a URL."""

    url: str  # base URL, no trailing slash
    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    expect_status: tuple[int, ...] = ()  # empty: any 2xx
    chat: ChatPrompt | None = None
    service: str = ""  # "namespace/name:port" when it stands for a Kubernetes service
    way: str = "direct"  # how requests get there: direct, api-proxy, node-port, load-balancer


Target = NodeTarget | NodesTarget | GpuTarget | WorkloadTarget | PodTarget | EndpointTarget


def node_of(target: Target) -> NodeTarget:
    """The one node that `target` lies on; `TypeError` for targets that lie on none (a plan never lets that happen)."""
    if isinstance(target, GpuTarget):
        return target.node
    if isinstance(target, NodeTarget):
        return target
    raise TypeError(f"{type(target).__name__} does not lie on one node")


def nodes_of(target: Target) -> tuple[NodeTarget, ...]:
    """Every node that `target` lies on; `TypeError` for targets that lie on none (a plan never lets that happen)."""
    return target.nodes if isinstance(target, NodesTarget) else (node_of(target),)


def node_names(targets: Iterable[Target]) -> tuple[str, ...]:
    """The nodes that targets lie on, sorted, each once; workloads, pods and endpoints lie on none that stays."""
    on_nodes = [one for one in targets if isinstance(one, GpuTarget | NodeTarget | NodesTarget)]
    return tuple(sorted({node.name for one in on_nodes for node in nodes_of(one)}))
