"""Declared targets: the ways to name something in the cluster. What they stand for is decided in `resolve`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from scenario_runner.core.bounds import shown
from scenario_runner.format.sentences import Loc, Reader, did_you_mean
from scenario_runner.format.yaml_core import Entries, Tree
from scenario_runner.workloads.kinds import KINDS

WORKLOAD_KINDS = tuple(KINDS)

Pick = Literal["first", "only", "random"]
Name = Annotated[str, Field(min_length=1)]


def _workload(value: object) -> object:
    kind, _, name = str(value).partition("/")
    if isinstance(value, str) and "/" not in value:
        raise ValueError(f"{shown(value)} does not say which kind of workload: write deployment/{value}")
    if kind not in WORKLOAD_KINDS or not name or "/" in name:
        raise ValueError(f"{shown(value)} is no workload: write KIND/NAME with a KIND of {', '.join(WORKLOAD_KINDS)}")
    return value


WorkloadRef = Annotated[
    str,
    BeforeValidator(_workload),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(WORKLOAD_KINDS)})/[^/]+$"}),
]


def _url(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")) or len(value) < len("http://x"):
        raise ValueError(f"{shown(value)} is no URL: write http://HOST:PORT")
    return value.rstrip("/")


Url = Annotated[str, BeforeValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://.+"})]


class Declared(BaseModel):
    """A declared target. `kind` is what steps ask for: node, nodes, gpu, pod, workload or endpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]

    def uses(self) -> str | None:
        """The other declared target that this one is found through."""
        return None


class NodeBy(BaseModel):
    """Nodes that carry certain labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: Name = Field(description="Label selector, e.g. accelerator=nvidia.")
    pick: Pick = Field(default="first", description="Which one of several: first (by name), only, or random.")


class NodesBy(BaseModel):
    """Several nodes that carry certain labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: Name = Field(description="Label selector, e.g. accelerator=nvidia.")
    pick: Literal["all", "first", "only", "random"] = Field(default="all", description="All of them, or one.")


class PodBy(BaseModel):
    """A pod, by its labels or by the workload that it belongs to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: Name | None = Field(default=None, description="Label selector of pods.")
    workload: Name | None = Field(default=None, description="A declared workload target.")
    pick: Pick = Field(default="first", description="Which one of several: first (by name), only, or random.")

    def model_post_init(self, context: object) -> None:
        del context
        if (self.selector is None) == (self.workload is None):
            raise ValueError("give either selector or workload")


class GpuBy(BaseModel):
    """A GPU, by the workload whose pod holds it or by the node that it lies in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workload: Name | None = Field(
        default=None, description="A declared workload target; one of its pods holds the GPU."
    )
    node: Name | None = Field(default=None, description="A declared node target.")
    index: int | None = Field(default=None, ge=0, description="Index of the GPU, as nvidia-smi counts.")
    pick: Pick = Field(default="first", description="Which one of several: first (by name), only, or random.")

    def model_post_init(self, context: object) -> None:
        del context
        if (self.workload is None) == (self.node is None):
            raise ValueError("give either workload or node")


class GpuAt(BaseModel):
    """One certain GPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: Name = Field(description="Name of the node.")
    index: int = Field(default=0, ge=0, description="Index of the GPU, as nvidia-smi counts.")


class NodeDeclared(Declared):
    """One node, by name or by labels."""

    kind: ClassVar[str] = "node"
    node: Name | NodeBy = Field(description="Name of a node, or {selector, pick}.")


class NodesDeclared(Declared):
    """Several nodes, by labels."""

    kind: ClassVar[str] = "nodes"
    nodes: NodesBy = Field(description="{selector, pick}.")


class NodeOfDeclared(Declared):
    """The node that a pod runs on."""

    kind: ClassVar[str] = "node"
    node_of: Name | PodBy = Field(description="A declared workload target, or {selector, pick} of pods.")
    pick: Pick = Field(default="first", description="Which pod of several: first (by name), only, or random.")
    namespace: Name | None = Field(default=None, description="Namespace, if it is not the scenario's.")

    def uses(self) -> str | None:
        return self.node_of if isinstance(self.node_of, str) else self.node_of.workload


class GpuOfDeclared(Declared):
    """The GPU that a pod of a workload really holds, and its node."""

    kind: ClassVar[str] = "gpu"
    gpu_of: Name | GpuBy = Field(description="A declared workload target, or {workload or node, index, pick}.")
    pick: Pick = Field(default="first", description="Which one of several: first (by name), only, or random.")

    def by(self) -> GpuBy:
        return GpuBy(workload=self.gpu_of, pick=self.pick) if isinstance(self.gpu_of, str) else self.gpu_of

    def uses(self) -> str | None:
        return self.by().workload or self.by().node


class GpuDeclared(Declared):
    """One certain GPU of one certain node."""

    kind: ClassVar[str] = "gpu"
    gpu: GpuAt = Field(description="{node, index}.")


class PodDeclared(Declared):
    """One pod, by name, by labels, or of a workload."""

    kind: ClassVar[str] = "pod"
    pod: Name | PodBy = Field(description="Name of a pod, or {selector or workload, pick}.")
    namespace: Name | None = Field(default=None, description="Namespace, if it is not the scenario's.")

    def uses(self) -> str | None:
        return None if isinstance(self.pod, str) else self.pod.workload


class WorkloadDeclared(Declared):
    """A workload, e.g. a Deployment."""

    kind: ClassVar[str] = "workload"
    workload: WorkloadRef = Field(description="KIND/NAME, e.g. deployment/vllm-decode.")
    namespace: Name | None = Field(default=None, description="Namespace, if it is not the scenario's.")


class Chat(BaseModel):
    """How an OpenAI-compatible service is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name = Field(default="auto", description="Name of the model; auto: the first that the service lists.")
    prompt: Name = Field(default="hello", description="What is asked.")
    max_tokens: int = Field(default=16, ge=1, description="Most tokens of an answer.")
    stream: bool = Field(default=False, description="Whether the answer comes in pieces.")


class Endpoint(Declared):
    """What services and URLs have in common: how a request looks."""

    kind: ClassVar[str] = "endpoint"
    chat: Chat | None = Field(default=None, description="Ask with OpenAI chat completions.")
    completions: Chat | None = Field(default=None, description="Ask with OpenAI completions.")
    method: Literal["GET", "POST", "PUT", "DELETE", "HEAD"] = Field(default="GET", description="HTTP method.")
    path: str = Field(default="/", pattern="^/", description="Path of the request.")
    headers: dict[str, str] = Field(default_factory=dict, description="HTTP headers.")
    body: str = Field(default="", description="Body of the request.")
    expect_status: tuple[int, ...] = Field(default=(), description="Statuses that are a success; any 2xx if empty.")

    def model_post_init(self, context: object) -> None:
        del context
        if self.chat is not None and self.completions is not None:
            raise ValueError("give either chat or completions")


class ServiceDeclared(Endpoint):
    """A Kubernetes service."""

    service: Name = Field(description="Name of a service.")
    port: int | str | None = Field(default=None, description="Port, by number or name; the only one if left out.")
    namespace: Name | None = Field(default=None, description="Namespace, if it is not the scenario's.")


class UrlDeclared(Endpoint):
    """Anything that answers HTTP at a URL."""

    url: Url = Field(description="Base URL, e.g. http://127.0.0.1:8000.")


DECLARATIONS: Mapping[str, type[Declared]] = {
    "node": NodeDeclared,
    "nodes": NodesDeclared,
    "node_of": NodeOfDeclared,
    "gpu_of": GpuOfDeclared,
    "gpu": GpuDeclared,
    "pod": PodDeclared,
    "workload": WorkloadDeclared,
    "service": ServiceDeclared,
    "url": UrlDeclared,
}


def read_target(tree: Tree, loc: Loc, reader: Reader) -> Declared | None:
    """A declared target, or None after its problems were noted."""
    if not isinstance(tree, Entries):
        reader.refuse(tree.mark, loc, "expected a mapping, like {workload: deployment/NAME}")
        return None
    found = [entry.key for entry in tree.entries if entry.key in DECLARATIONS]
    if len(found) == 1:
        return reader.model(DECLARATIONS[found[0]], tree, loc)
    if len(found) > 1:
        reader.refuse(tree.mark, loc, f"names its target in several ways ({', '.join(found)}): keep one")
    elif tree.entries:
        entry = tree.entries[0]
        hint = did_you_mean(entry.key, DECLARATIONS)
        reader.refuse(entry.mark, (*loc, entry.key), f"'{entry.key}' is no way to name a target{hint}")
    else:
        reader.refuse(tree.mark, loc, f"is empty{did_you_mean('', DECLARATIONS)}")
    return None
