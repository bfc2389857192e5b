"""A machine with a driver: runs client programs with the library in them, and arms them while they run."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from fault_agent.cuda_control import Rule
from fault_agent.cuda_hits import Hit
from tests.cuda_lib.node import Node

PROGRAMS = Path(__file__).parent / "programs"
_LONGEST = 180  # seconds for one client; importing a framework on a cold machine takes a minute
_POLL_MS = 100  # what pods have


@dataclass(frozen=True)
class Answers:
    """What a client saw: `calls` maps what it tried to `ok` or the error, `missing` names a package it has not got."""

    calls: dict[str, str]
    missing: str = ""
    broken: str = ""  # it did not come to its end: why

    @property
    def why_not(self) -> str:
        return f"the Python of the clients has no {self.missing}" if self.missing else ""

    def __str__(self) -> str:
        told = "; ".join(f"{what}: {answer}" for what, answer in self.calls.items())
        return "; ".join(part for part in (told, self.broken) if part)


@dataclass(frozen=True)
class Machine:
    """`python` runs the clients; `driver` is a folder with another driver than the machine's own, or None."""

    node: Node
    python: str
    driver: Path | None = None

    def run(self, program: str, *arguments: str, library: bool = True, **environment: str) -> Answers:
        """A client from its start to its end."""
        return self._finish(self._start(program, arguments, library, environment))

    def run_armed(self, program: str, *rules: Rule, **environment: str) -> tuple[Answers, list[Hit]]:
        """A client that finds the rules armed when it starts, and what hit it."""
        before = len(self.node.hits())
        self.node.arm(*rules)
        answers = self.run(program, **environment)
        self.node.arm()
        return answers, self.node.hits()[before:]

    def live(self, program: str, *rules: Rule, hold: float = 0) -> tuple[Answers, list[Hit]]:
        """A client that is healthy and warm when the rules are armed; with `hold` they are taken back so much later."""
        before = len(self.node.hits())
        self.node.arm()
        client = self._start(program, (), True, {})
        assert client.stdout is not None
        assert client.stdin is not None
        first = client.stdout.readline()
        if '"warm"' not in first:
            rest = self._finish(client)  # it has told why in its first line, or breaks
            return Answers(rest.calls, _answers(first, "").missing, rest.broken), []
        self.node.arm(*rules)
        time.sleep(3 * _POLL_MS / 1000)
        client.stdin.write("go\n")
        client.stdin.flush()
        if hold:
            time.sleep(hold)
            self.node.arm()
        answers = self._finish(client)
        self.node.arm()
        return answers, self.node.hits()[before:]

    def _start(
        self, program: str, arguments: tuple[str, ...], library: bool, more: dict[str, str]
    ) -> subprocess.Popen[str]:
        own = self.node.environment(SCENARIO_RUNNER_CUDA_POLL_MS=str(_POLL_MS))
        ours = {name: own[name] for name in own if name.startswith("SCENARIO_RUNNER_")}
        if library:
            ours["LD_PRELOAD"] = own["LD_PRELOAD"]
        if self.driver is not None:
            ours["LD_LIBRARY_PATH"] = str(self.driver)
        return subprocess.Popen(
            [self.python, str(PROGRAMS / f"{program}.py"), *arguments],
            env={**os.environ, **ours, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _finish(self, client: subprocess.Popen[str]) -> Answers:
        try:
            out, err = client.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            client.kill()
            client.communicate()
            return Answers({}, broken=f"it did not end within {_LONGEST} s")
        last = (err.strip() or "it said nothing").splitlines()[-1]
        return _answers(out, "" if client.returncode == 0 else f"it ended with {client.returncode}: {last}")


def _answers(out: str, broken: str) -> Answers:
    said = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    calls = {line["call"]: line["answer"] for line in said if "call" in line}
    missing = next((line["missing"] for line in said if "missing" in line), "")
    return Answers(calls, missing, broken)
