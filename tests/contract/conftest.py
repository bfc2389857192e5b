"""The same questions to the fakes of the tests and to the real things, so that they can not drift apart."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_runner.adapters.http_agent import HttpAgent
from tests.agent.world import ForkServer, gateway_program, node_program
from tests.contract.clusters import FakeStand, RealStand, Stand, write_kubeconfig
from tests.fakes import GPUS, FakeAgent, FakeClock

ROOT = Path(__file__).parents[2]
TOKEN = "a token of the tests"


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway_url(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real gateway before the real agent of gpu-1; gpu-9 is in the roster, and nobody is there."""
    folder = tmp_path_factory.mktemp("agents")
    (folder / "token").write_text(TOKEN)
    token = ("--token-file", str(folder / "token"))
    node = node_program(fork_server, folder / "gpu-1")
    gateway = gateway_program(fork_server, folder / "gateway", {})
    try:
        roster = {"gpu-1": node.start(*token), "gpu-9": "http://127.0.0.1:1"}
        (folder / "gateway" / "roster.json").write_text(json.dumps(roster))
        yield gateway.start(*token)
    finally:
        gateway.leave_nothing()
        node.leave_nothing()


@pytest.fixture
def real_agent(gateway_url: str) -> Iterator[HttpAgent]:
    agent = HttpAgent(gateway_url, TOKEN)
    yield agent
    agent.close()


@pytest.fixture(params=["fake", "real"])
def agent(request: pytest.FixtureRequest) -> FakeAgent | HttpAgent:
    """An agent of node gpu-1, and one of gpu-9 that can not be reached."""
    if request.param == "fake":
        fake = FakeAgent(FakeClock(), {**GPUS, "gpu-9": ()})
        fake.unreachable["gpu-9"] = "connection refused"
        return fake
    real: HttpAgent = request.getfixturevalue("real_agent")
    return real


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a real API server of the lab."""
    command = [sys.executable, "-m", "scenario_runner.lab.apiserver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            yield write_kubeconfig(tmp_path_factory.mktemp("api"), url)
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(params=["fake", "real"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """An empty cluster and somebody who changes it."""
    if request.param == "fake":
        yield FakeStand()
        return
    real = RealStand(request.getfixturevalue("api_server"))
    yield real
    real.leave_nothing()
