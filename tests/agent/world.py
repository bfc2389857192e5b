"""Real agent processes for tests: one node with its files, or a gateway, started, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
FAILS = {"classes": ["launch"], "mode": "sticky", "code": 719}


def gpus(domain: str = "4001", count: int = 4) -> list[dict[str, Any]]:
    """An inventory whose minors differ from the indexes, so that a mix-up is seen."""
    return [
        {"index": i, "minor": count - 1 - i, "uuid": f"GPU-{domain}-000{i}", "pci": f"{domain}:{0x17 + i:02x}:00"}
        for i in range(count)
    ]


class ForkServer:
    """Starts agents quickly; see `fork_server`."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "agent"), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.agent.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )

    def ask(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, int)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@dataclass
class Program:
    """One agent program that can be started several times; `output` gathers what all of them printed."""

    server: ForkServer
    argv: list[str]
    output: Path
    headers: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    pid: int | None = None
    http: httpx.Client | None = None

    def start(self, *extra: str, die_at: str | None = None, file_size: int | None = None) -> str:
        """Start and wait until it serves; returns its URL."""
        seen = len(self.printed())
        self.launch(*extra, die_at=die_at, file_size=file_size)
        for line in self._lines_after(seen):
            if line.startswith("ready "):
                url = line.removeprefix("ready ")
                self.http = httpx.Client(base_url=url, headers=self.headers, timeout=20, verify=False)
                return url
        raise AssertionError(f"the agent did not come up: {self.printed()[seen:]}")

    def launch(self, *extra: str, die_at: str | None = None, file_size: int | None = None) -> None:
        """Start without waiting."""
        env = self.environment | ({"FAULT_AGENT_DIE_AT": die_at} if die_at else {})
        order = {"argv": [*self.argv, *extra], "env": env, "output": str(self.output), "file_size": file_size}
        self.pid = self.server.ask(order)

    def refuses_to_start(self, *extra: str) -> str:
        """Start it, expect exit status 2, and return what it printed."""
        seen = len(self.printed())
        self.launch(*extra)
        assert self.ended() == 2
        return self.printed()[seen:]

    def kill(self) -> None:
        """kill -9."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; returns the exit status, negative for a signal."""
        if self.http is not None:
            self.http.close()
            self.http = None
        pid, self.pid = self.pid, None
        return self.server.ask({"wait": pid})

    def leave_nothing(self) -> None:
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()

    def printed(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def get(self, path: str, **options: Any) -> httpx.Response:
        assert self.http is not None
        return self.http.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        assert self.http is not None
        return self.http.post(path, **options)

    def until_fault(self, fault_id: str, status: str) -> dict[str, Any]:
        """Poll until the fault has this status; the test's own time limit ends a wait in vain."""
        while True:
            record = self.get(f"/api/v1/faults/{fault_id}").json()
            if record["status"] == status:
                return record
            time.sleep(0.02)

    def _lines_after(self, seen: int) -> Iterator[str]:
        """Whole lines as they appear; ends with the process."""
        assert self.pid is not None
        given = 0
        while True:
            lines = self.printed()[seen:].split("\n")[:-1]
            yield from lines[given:]
            given = max(given, len(lines))
            if not _is_running(self.pid):
                return
            time.sleep(0.01)


@dataclass
class NodeProgram(Program):
    """The agent of one node, with its files in one folder."""

    folder: Path = Path()
    name: str = "gpu-1"

    def inject(self, xid: int = 79, key: str | None = None, **body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.post(f"/api/v1/faults/gpu/inject/xid-{xid}", json={"node_name": self.name, **body}, headers=headers)

    def arm(self, key: str | None = None, **body: Any) -> httpx.Response:
        """Arm a CUDA fault; without other wishes launches of GPU 0 fail with 719 for a minute unless renewed."""
        headers = {"Idempotency-Key": key} if key else {}
        choice = {} if body.keys() & {"profile", "xid", "rules"} else {"rules": [FAILS]}
        ends = {} if body.keys() & {"ttl", "duration", "max_lifetime"} else {"ttl": 60}
        order = {"node_name": self.name, **choice, **ends, **body}
        return self.post("/api/v1/cuda/arm", json=order, headers=headers)

    def recover(self, fault_id: str, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.post(f"/api/v1/faults/{fault_id}/recover", headers=headers)

    def fault(self, fault_id: str) -> dict[str, Any]:
        record = self.get(f"/api/v1/faults/{fault_id}").json()
        assert isinstance(record, dict)
        return record

    @property
    def kernel_log(self) -> Path:
        return self.folder / "kernel.log"

    def kernel_lines(self) -> list[str]:
        if not self.kernel_log.exists():
            return []
        return [line.partition(";")[2] for line in self.kernel_log.read_text().splitlines()]

    def add_kernel_line(self, text: str) -> None:
        """A record of somebody else, such as the driver."""
        count = len(self.kernel_lines())
        with self.kernel_log.open("a") as file:
            file.write(f"4,{count},{count},-;{text}\n")

    def reboot(self, boot: str) -> None:
        (self.folder / "boot_id").write_text(boot + "\n")


def node_program(server: ForkServer, folder: Path, name: str = "gpu-1", domain: str = "4001") -> NodeProgram:
    """A node with four GPUs and a kernel log of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inventory.json").write_text(json.dumps({"gpus": gpus(domain)}))
    (folder / "boot_id").write_text("boot-1\n")
    argv = ["node", "--node", name, "--listen", "127.0.0.1:0", "--state-dir", str(folder / "state")]
    argv += ["--inventory", str(folder / "inventory.json"), "--boot-id-file", str(folder / "boot_id")]
    argv += ["--cuda-dir", str(folder / "cuda"), "--kernel-log", f"file:{folder / 'kernel.log'}"]
    return NodeProgram(server, argv, folder / "output", folder=folder, name=name)


def gateway_program(server: ForkServer, folder: Path, roster: dict[str, str]) -> Program:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roster.json").write_text(json.dumps(roster))
    argv = ["gateway", "--listen", "127.0.0.1:0", "--roster", str(folder / "roster.json")]
    return Program(server, argv, folder / "output")


@contextmanager
def running(program: Program, *extra: str) -> Iterator[Program]:
    program.start(*extra)
    try:
        yield program
    finally:
        program.leave_nothing()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
