"""Whatever is asked, a real agent answers as its OpenAPI document says, and goes on serving."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from tests.agent.generated_calls import Call, Document
from tests.agent.test_openapi import DOCUMENT, EXAMPLES, schema_of
from tests.agent.world import ForkServer, NodeProgram, Program, gateway_program, node_program

KNOWN: dict[str, list[Any]] = {
    "node_name": ["gpu-1"],
    "fault_id": ["gpu-1~line", "gpu-1~calls", "gpu-1~other"],
    "Idempotency-Key": ["line", "calls", "other", "another"],
    "gpu_id": [0, 1, "all", "4001:18:00"],
    "xid": [79, 43],
    "profile": ["gpu-lost", "slow"],
    "ttl": [60.0],
    "message": [None],
    "xid_type": [None],
}
BODIES = {operation: options["json"] for operation, options in EXAMPLES.items() if "json" in options}
ASKED = Document(DOCUMENT, KNOWN, BODIES)
COUNT = 12


@pytest.fixture(scope="module")
def node(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProgram]:
    program = node_program(server, tmp_path_factory.mktemp("any") / "node")
    program.start("--max-active", "200")
    program.inject(79, key="line")
    for key in ("calls", "doc-cuda"):
        program.arm(key=key)
    yield program
    program.leave_nothing()


@pytest.fixture(scope="module")
def gateway(server: ForkServer, node: NodeProgram, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    assert node.http is not None
    folder: Path = tmp_path_factory.mktemp("any") / "gateway"
    program = gateway_program(server, folder, {"gpu-1": str(node.http.base_url).rstrip("/")})
    program.start()
    yield program
    program.leave_nothing()


@pytest.mark.parametrize("role", ["node", "gateway"])
@pytest.mark.parametrize(("method", "path"), ASKED.operations())
def test_any_call_is_answered_as_documented(role: str, method: str, path: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(role)
    statuses: set[int] = set()

    @settings(
        max_examples=COUNT,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(call=ASKED.calls(method, path))
    def is_answered_as_documented(call: Call) -> None:
        assert program.http is not None
        answer = program.http.request(call.method, call.path, params=call.params, headers=call.headers, json=call.json)
        statuses.add(answer.status_code)
        assert answer.status_code != 500, answer.text
        if answer.headers["content-type"] == "application/json":
            schema = schema_of(method, path, answer.status_code)
            assert schema is not None
            jsonschema.validate(answer.json(), schema)
        else:
            assert schema_of(method, path, answer.status_code) is None

    is_answered_as_documented()
    assert min(statuses) < 300  # some got through
    assert program.get("/health").status_code == 200


def test_all_of_it_can_be_taken_back(node: NodeProgram) -> None:
    for fault in node.get("/api/v1/faults?active_only=true").json()["faults"]:
        assert node.recover(fault["fault_id"]).status_code == 200
    assert node.get("/api/v1/faults?active_only=true").json()["faults"] == []
