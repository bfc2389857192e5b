"""An order's URL, and the bytes of its requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from scenario_runner.core.samples import LoadOrder

_PORTS = {"http": 80, "https": 443}
_PATH = "/%:@!$&'()*+,;=-._~"
_COMPLETIONS = ("/chat/completions", "/completions")


@dataclass(frozen=True)
class Place:
    """Where requests go: the address to connect to, and how the URL spells it."""

    tls: bool
    host: str
    port: int
    authority: str  # for the Host header
    path: str  # with the query


def parse_url(url: str) -> Place:
    """Raise ValueError with a sentence for a URL that can not be requested."""
    parts = urlsplit(url)
    port = parts.port  # raises ValueError itself
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not the URL of an HTTP service: write http://host:port/path")
    if parts.username is not None:
        raise ValueError("the URL holds a user name: send it in a header instead")
    host = _host(parts.hostname)
    named = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe=_PATH) + (f"?{quote(parts.query, safe=_PATH + '?')}" if parts.query else "")
    return Place(
        tls=parts.scheme == "https",
        host=host,
        port=port or _PORTS[parts.scheme],
        authority=named if port is None else f"{named}:{port}",
        path=path,
    )


def _host(name: str) -> str:
    """The name as a resolver takes it; every version of Python has words of its own for what none would take."""
    try:
        return name.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError(f"'{name}' is no host name: its parts have 1 to 63 characters each") from error


def models_path(path: str) -> str:
    """Where the service lists its models: beside its completions."""
    path = path.partition("?")[0]
    for end in _COMPLETIONS:
        if path.endswith(end):
            return path.removesuffix(end) + "/models"
    return "/v1/models"


def models_request(order: LoadOrder, place: Place) -> bytes:
    """The bytes that ask for the list of models, with the order's own headers (a token may be among them)."""
    return _bytes("GET", models_path(place.path), place, order.headers, b"")


def load_request(order: LoadOrder, place: Place, model: str) -> bytes:
    """The bytes of each request of an order. Raise ValueError with a sentence if the order makes none."""
    if order.api == "http":
        return _bytes(order.method, place.path, place, order.headers, order.body)
    try:
        document = json.loads(order.body)
        document |= {"model": model} if model else {}
        document |= {"stream": True} if order.stream else {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"the body of a request for completions is not a JSON object: {error}") from error
    headers = {"Content-Type": "application/json"} | dict(order.headers)
    return _bytes("POST", place.path, place, headers, json.dumps(document).encode())


def _bytes(method: str, path: str, place: Place, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = {"Host": place.authority, "User-Agent": "scenario-runner", "Accept": "*/*"}
    given = {name.lower() for name in headers}
    lines = {name: value for name, value in lines.items() if name.lower() not in given}
    lines |= {name: value for name, value in headers.items() if name.lower() != "content-length"}
    if body or method not in {"GET", "HEAD", "DELETE", "OPTIONS"}:
        lines["Content-Length"] = str(len(body))
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    if any(character in line for line in head for character in "\r\n\0"):
        raise ValueError("a header, the method or the URL holds a line break")
    return "\r\n".join([*head, "", ""]).encode("latin-1", errors="replace") + body
