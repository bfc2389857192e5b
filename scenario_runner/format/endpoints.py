"""What a declared service or URL stands for: an address, and how it is asked."""

from dataclasses import replace

from scenario_runner.core.states import ServiceState
from scenario_runner.core.targets import ChatPrompt, EndpointTarget
from scenario_runner.format.lookup import Lookup, there_is
from scenario_runner.format.targets import Endpoint, ServiceDeclared, UrlDeclared

WAYS = {
    "api-proxy": "through the API server's proxy",
    "node-port": "through its port on a node",
    "load-balancer": "through its load balancer",
}
_ROUTES = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}


def endpoint(look: Lookup, one: Endpoint, namespace: str) -> tuple[EndpointTarget, str]:
    """The endpoint and words for it; Refused when the service or its port does not exist."""
    if isinstance(one, ServiceDeclared):
        service = _service(look, one, namespace)
        port = _port(look, one, service)
        name = f"{service.namespace}/{service.name}:{port}"
        if service.way == "direct":
            url = f"http://{service.cluster_ip}:{port}"
            return _target(one, url, name), f"{name} at {url}"
        target = replace(_target(one, _url(look, service, port), name), way=service.way)
        if service.way == "api-proxy":
            _refuse_credentials(look, one)
        return target, f"{name} {WAYS[service.way]}"
    assert isinstance(one, UrlDeclared), "there is no other endpoint"
    return _target(one, one.url, ""), one.url


def _service(look: Lookup, one: ServiceDeclared, namespace: str) -> ServiceState:
    where = one.namespace or namespace
    service = look.cluster.service(where, one.service)
    if service is None:
        there = there_is("services", [other.name for other in look.cluster.services(where)])
        raise look.miss(f"there is no service {one.service} in namespace {where}; {there}")
    if service.way == "direct" and service.cluster_ip in {"", "None"}:
        raise look.miss(f"service {where}/{one.service} has no address of its own")
    return service


def _port(look: Lookup, one: ServiceDeclared, service: ServiceState) -> int:
    ports = sorted(set(service.ports.values()))
    there = there_is("ports", [f"{port} ({name})" for name, port in service.ports.items()])
    if one.port is None:
        if len(ports) != 1:
            raise look.miss(f"say which port of service {service.name}; {there}")
        return ports[0]
    port = service.ports.get(str(one.port), one.port)
    if port not in ports:
        raise look.miss(f"service {service.name} has no port {one.port}; {there}")
    return int(port)


def _url(look: Lookup, service: ServiceState, port: int) -> str:
    if port not in service.urls:
        raise look.miss(f"port {port} of service {service.name} can not be reached {WAYS[service.way]}")
    return service.urls[port]


def _refuse_credentials(look: Lookup, one: Endpoint) -> None:
    """What a service would never see must not look as if it were sent."""
    if any(name.lower() == "authorization" for name in one.headers):
        raise look.miss(
            "its header Authorization would be taken by the API server, whose proxy requests go through: "
            "choose another way with --reach, or run inside the cluster"
        )


def _target(one: Endpoint, url: str, service: str) -> EndpointTarget:
    for api, chat in (("chat", one.chat), ("completions", one.completions)):
        if chat is not None:
            prompt = ChatPrompt(api, chat.model, chat.prompt, chat.max_tokens, chat.stream)
            return EndpointTarget(url, "POST", _ROUTES[api], one.headers, "", one.expect_status, prompt, service)
    return EndpointTarget(url, one.method, one.path, one.headers, one.body, one.expect_status, None, service)
