"""How requests reach a Service: straight, through the API server's proxy, a node's port or a load balancer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from scenario_runner.adapters.kubernetes_rest import KubernetesRest
from scenario_runner.core.samples import TlsFiles
from scenario_runner.errors import Refused

Json = Any
Wish = Literal["direct", "api-proxy", "node-port", "load-balancer"]


@dataclass(frozen=True)
class Way:
    """The way that was taken to one Service, and the base URL of each of its ports."""

    name: str
    urls: Mapping[int, str]


class ServiceWays:
    """Finds the base URLs of Services on one way; whether they lead anywhere is seen by who sends requests."""

    def __init__(self, rest: KubernetesRest, wish: Wish) -> None:
        self._rest = rest
        self._wish = wish

    def way(self, raw: Json) -> Way:
        """The way to the Service with that JSON; no URLs where the way does not lead to it. Raise Refused."""
        ports = {int(one["port"]): one for one in raw["spec"].get("ports") or ()}
        ways = {
            "direct": self._direct,
            "api-proxy": self._proxy,
            "node-port": self._node_port,
            "load-balancer": self._balancer,
        }
        return Way(self._wish, ways[self._wish](raw, ports))

    @staticmethod
    def _direct(raw: Json, ports: Mapping[int, Json]) -> Mapping[int, str]:
        address = raw["spec"].get("clusterIP") or ""
        return {port: f"http://{_host(address)}:{port}" for port in ports if address not in {"", "None"}}

    def _proxy(self, raw: Json, ports: Mapping[int, Json]) -> Mapping[int, str]:
        if self._rest.access.proxy:
            raise Refused(
                f"requests to service {_name(raw)} can not go through the proxy in front of the API server: "
                "choose another way with --reach, or run inside the cluster"
            )
        return {port: self._rest.access.server + proxy_path(_name(raw), "http", port) for port in ports}

    def _node_port(self, raw: Json, ports: Mapping[int, Json]) -> Mapping[int, str]:
        there = {port: one["nodePort"] for port, one in ports.items() if one.get("nodePort")}
        nodes = (self._rest.get("/api/v1/nodes") or {"items": ()})["items"] if there else ()
        node = next(filter(None, map(_node_address, nodes)), "")
        return {port: f"http://{_host(node)}:{number}" for port, number in there.items() if node}

    @staticmethod
    def _balancer(raw: Json, ports: Mapping[int, Json]) -> Mapping[int, str]:
        entries = ((raw.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        host = next((one.get("ip") or one.get("hostname") for one in entries), "")
        return {port: f"http://{_host(host)}:{port}" for port in ports if host}


@dataclass(frozen=True)
class Entrance:
    """What a load needs on its way through the API server; asked for when it starts, so that no token grows old."""

    rest: KubernetesRest

    def covers(self, url: str) -> bool:
        return url.startswith(f"{self.rest.access.server}/api/v1/namespaces/")

    def headers(self) -> Mapping[str, str]:
        """Raise TargetUnreachable when we cannot log in."""
        return self.rest.access.headers()

    def tls(self) -> TlsFiles | None:
        return self.rest.access.tls()


def proxy_path(service: str, scheme: str, port: int | str) -> str:
    """Where the API server passes requests on to "namespace/name"."""
    namespace, _, name = service.partition("/")
    return f"/api/v1/namespaces/{quote(namespace)}/services/{scheme}:{quote(name)}:{port}/proxy"


def _name(raw: Json) -> str:
    return f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _node_address(node: Json) -> str:
    """The address of a node that is ready; one outside the cluster's network goes first."""
    status = node.get("status") or {}
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
    known = {one["type"]: str(one["address"]) for one in status.get("addresses") or ()}
    return (known.get("ExternalIP") or known.get("InternalIP") or "") if ready else ""
