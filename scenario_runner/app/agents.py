"""Finds the fault agents of a cluster: where the command line says, else through the Service of their Helm chart."""

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.adapters.agent_proxy import ApiServerTransport
from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.app.place import AgentWish
from scenario_runner.core.cuda import CudaHits
from scenario_runner.core.faults import FaultList, FaultRecord, GpuSeat
from scenario_runner.core.ports import Agent, Arming, Injection
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable

NAMESPACE = "scenario-runner"
SELECTOR = "app.kubernetes.io/name=fault-agent,app.kubernetes.io/component=gateway"


@dataclass(frozen=True)
class FoundAgent:
    """The agents, and in words where they were found."""

    agent: Agent
    words: str


class NoAgent:
    """Stands where no agent was found: a scenario that never asks one may run all the same."""

    def __init__(self, why: str) -> None:
        self._why = why

    def gpus(self, node: str) -> tuple[GpuSeat, ...]:
        raise TargetUnreachable(f"cannot list the GPUs of {node}: {self._why}")

    def faults(self) -> FaultList:
        raise TargetUnreachable(f"cannot list the faults: {self._why}")

    def fault(self, fault_id: str) -> FaultRecord | None:
        raise TargetUnreachable(f"cannot show fault {fault_id}: {self._why}")

    def inject(self, injection: Injection) -> FaultRecord:
        raise TargetUnreachable(f"cannot inject XID {injection.xid} on {injection.node}: {self._why}")

    def arm(self, arming: Arming) -> FaultRecord:
        raise TargetUnreachable(f"cannot arm CUDA faults on {arming.node}: {self._why}")

    def cuda_hits(self, fault_id: str) -> CudaHits:
        raise TargetUnreachable(f"cannot ask what {fault_id} has hit: {self._why}")

    def recover(self, fault_id: str) -> FaultRecord:
        raise TargetUnreachable(f"cannot recover fault {fault_id}: {self._why}")

    def renew(self, fault_id: str, ttl: float) -> FaultRecord:
        raise TargetUnreachable(f"cannot renew fault {fault_id} for {ttl:g}s: {self._why}")


def find_agent(cluster: KubernetesCluster, wish: AgentWish, *, inside: bool) -> FoundAgent:
    """Raise Refused for a file of the command line that cannot be read; whether the agent answers is seen later."""
    if wish.url is not None and "://" in wish.url:
        token = "" if wish.token_file is None else read_token(wish.token_file)
        return FoundAgent(HttpAgent(wish.url, token, tls=trust(wish.authority)), f"fault agents at {wish.url}")
    try:
        return _behind(cluster, wish, _service(cluster, wish.url or f"{NAMESPACE}/"), inside=inside)
    except (TargetRefused, TargetUnreachable) as error:
        return FoundAgent(NoAgent(str(error)), f"no fault agents: {error}")


def read_token(file: Path) -> str:
    """The token of the fault agents; raise Refused when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise Refused(f"the token of the fault agents in {file} cannot be read: {exc.strerror}") from exc


def trust(authority: Path | None) -> ssl.SSLContext | None:
    """Who may have signed the agents' certificate; None: the authorities of this machine. Raise Refused."""
    if authority is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(authority))
    except OSError as exc:  # ssl.SSLError is one of these
        raise Refused(f"the authority of the agents' certificate in {authority} cannot be used: {exc}") from exc


@dataclass(frozen=True)
class _Service:
    """The gateway's Service."""

    namespace: str
    name: str
    port: int

    @property
    def url(self) -> str:
        return f"https://{self.name}.{self.namespace}.svc:{self.port}"


def _service(cluster: KubernetesCluster, wish: str) -> _Service:
    namespace, _, wanted = wish.rpartition("/")
    answer = cluster.rest.get(f"/api/v1/namespaces/{namespace or NAMESPACE}/services", {"labelSelector": SELECTOR})
    found = [one for one in (answer or {"items": ()})["items"] if wanted in {"", one["metadata"]["name"]}]
    if not found:
        what = f"service {wanted} with {SELECTOR}" if wanted else f"service with {SELECTOR}"
        raise TargetUnreachable(
            f"there is no fault agent in namespace {namespace or NAMESPACE} (no {what}): "
            "install its Helm chart, or say where it is with --agent"
        )
    if len(found) > 1:
        names = ", ".join(sorted(f"{namespace}/{one['metadata']['name']}" for one in found))
        raise TargetRefused(f"there are several fault agents: say with --agent which one of {names}")
    return _Service(
        namespace or NAMESPACE, str(found[0]["metadata"]["name"]), int(found[0]["spec"]["ports"][0]["port"])
    )


def _behind(cluster: KubernetesCluster, wish: AgentWish, at: _Service, *, inside: bool) -> FoundAgent:
    token = (
        read_token(wish.token_file)
        if wish.token_file
        else _secret(cluster, at.namespace, f"{at.name}-token", "token", "--agent-token-file")
    )
    if inside:
        tls = trust(wish.authority) or ssl.create_default_context(
            cadata=_secret(cluster, at.namespace, f"{at.name}-tls", "ca.crt", "--agent-ca")
        )
        return FoundAgent(HttpAgent(at.url, token, tls=tls), f"fault agents at {at.url}")
    way = ApiServerTransport(cluster.rest, f"{at.namespace}/{at.name}", "https", at.port)
    words = f"fault agents at {at.namespace}/{at.name}:{at.port} through the API server's proxy"
    return FoundAgent(HttpAgent(at.url, token, transport=way), words)


def _secret(cluster: KubernetesCluster, namespace: str, name: str, key: str, option: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    try:
        raw = cluster.rest.get(path)
    except TargetRefused as refusal:
        if refusal.code != "Forbidden":
            raise
        raise TargetRefused(
            f"Secret {namespace}/{name} of the fault agents may not be read by us: give its {key} with {option}",
            code="Forbidden",
        ) from refusal
    if raw is None or key not in (raw.get("data") or {}):
        raise TargetUnreachable(f"there is no Secret {namespace}/{name} with {key}: give it with {option}")
    return base64.b64decode(raw["data"][key]).decode().strip()
