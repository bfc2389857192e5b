"""The OpenAPI document: every call in it is made over HTTP, to both roles, and answers as documented."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fault_agent.main import openapi_document
from tests.agent.world import ForkServer, NodeProgram, Program, gateway_program

PUBLISHED = Path(__file__).parents[2] / "schemas" / "agent.openapi.json"
DOCUMENT = json.loads(openapi_document())
CALLS = [(method, path) for path, methods in sorted(DOCUMENT["paths"].items()) for method in sorted(methods)]
FAULT = "gpu-1~doc"

# What each documented call is made with. A new route without an entry fails its test.
EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/health"): {},
    ("get", "/readyz"): {},
    ("get", "/metrics"): {},
    ("get", "/api/v1/gpus"): {"params": {"node_name": "gpu-1"}},
    ("get", "/api/v1/faults"): {"params": {"active_only": True}},
    ("get", "/api/v1/faults/gpu/xid-types"): {},
    ("get", "/api/v1/faults/{fault_id}"): {},
    ("get", "/api/v1/cuda/hits"): {"params": {"node_name": "gpu-1"}},
    ("get", "/api/v1/cuda/profiles"): {},
    ("post", "/api/v1/cuda/arm"): {
        "json": {"node_name": "gpu-1", "ttl": 60, "rules": [{"classes": ["sync"], "mode": "sticky", "code": 719}]}
    },
    ("post", "/api/v1/cuda/disarm"): {"json": {"fault_id": "gpu-1~doc-cuda"}},
    ("post", "/api/v1/faults/gpu/inject/xid-{xid}"): {"json": {"node_name": "gpu-1", "gpu_id": 1, "ttl": 60}},
    ("post", "/api/v1/faults/{fault_id}/recover"): {},
    ("post", "/api/v1/faults/{fault_id}/renew"): {"json": {"ttl": 60}},
}


@pytest.fixture(params=["node", "gateway"])
def program(request: pytest.FixtureRequest, server: ForkServer, node: NodeProgram, tmp_path: Path) -> Iterator[Program]:
    """A running agent of either role that knows the fault `gpu-1~doc`."""
    url = node.start()
    node.inject(79, key="doc")
    node.arm(key="doc-cuda")
    if request.param == "node":
        yield node
        return
    gateway = gateway_program(server, tmp_path / "gateway", {"gpu-1": url})
    gateway.start()
    yield gateway
    gateway.leave_nothing()


@pytest.fixture
def call(program: Program) -> Callable[..., Any]:
    def made(method: str, path: str, **options: Any) -> Any:
        assert program.http is not None
        filled = path.replace("{fault_id}", FAULT).replace("{xid}", "79")
        return program.http.request(method, filled, **options)

    return made


def schema_of(method: str, path: str, status: int) -> dict[str, Any] | None:
    """The documented schema of an answer, None for text; raises KeyError for an undocumented status."""
    content = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"]
    if "application/json" not in content:
        return None
    return {**content["application/json"]["schema"], "components": DOCUMENT["components"]}


def assert_documented(method: str, path: str, answer: Any) -> None:
    schema = schema_of(method, path, answer.status_code)
    if schema is not None:
        jsonschema.validate(answer.json(), schema)


def test_the_published_document_is_the_current_one() -> None:
    assert PUBLISHED.read_text() == openapi_document() + "\n"


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_documented_call_answers_as_documented(method: str, path: str, call: Callable[..., Any]) -> None:
    answer = call(method, path, **EXAMPLES[method, path])
    assert answer.status_code in (200, 201)
    assert_documented(method, path, answer)


@pytest.mark.parametrize(("method", "path"), [one for one in CALLS if one[0] == "post"])
def test_a_refusal_is_documented_too(method: str, path: str, call: Callable[..., Any]) -> None:
    options = EXAMPLES[method, path] | {"headers": {"Idempotency-Key": "Not A Name"}}
    if "renew" in path:
        options["json"] = {"ttl": -1}
    answer = call(method, path, **options)
    assert answer.status_code == 422
    assert_documented(method, path, answer)


def test_no_example_is_left_of_a_route_that_is_gone() -> None:
    assert set(EXAMPLES) == set(CALLS)


def test_only_health_is_documented_as_open() -> None:
    is_open = {path for method, path in CALLS if "security" not in DOCUMENT["paths"][path][method]}
    assert is_open == {"/health"}
