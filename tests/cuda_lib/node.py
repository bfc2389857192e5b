"""A node as the CUDA library sees it: the agent's files, and programs that run with the library in them."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from fault_agent import cuda_control, cuda_hits
from fault_agent.cuda_control import CallClass, GpuUuid, Mode, Rule
from fault_agent.cuda_hits import Hit, ProcessHits

UUIDS = tuple(f"GPU-0000000{index}-1415-1617-1819-1a1b1c1d1e1f" for index in range(4))


@dataclass(frozen=True)
class Built:
    library: Path
    stub: Path


def later(seconds=600):
    """A moment of CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)


def rule(classes, mode=Mode.FAIL, code=719, **fields):
    names = classes.upper().split()
    wanted = CallClass(sum(CallClass[name] for name in names))
    return Rule(**{"fault": "f", "mode": mode, "classes": wanted, "code": code, "expires_at_ns": later(), **fields})


class Client:
    """A running program that stops at each step `pause` until it is told to go on."""

    def __init__(self, process):
        self._process = process
        self.pid = process.pid

    def until_paused(self):
        """What it printed since it was last told to go on."""
        return self._process.stdout.readline().strip()

    def go_on(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finish(self):
        """What it printed to its end; fails the test if it did not end well."""
        out, _ = self._process.communicate(timeout=50)
        assert self._process.returncode == 0
        return " ".join(out.split())

    def kill(self):
        self._process.kill()
        self._process.communicate()


class Node:
    """The files that an agent keeps on a node, and programs that run there with the library in them."""

    def __init__(self, built, folder, steps):
        self.built = built
        self.folder = folder
        self.control = folder / "control"
        self.hits_directory = folder / "hits"
        self.steps = steps
        self._running = []
        cuda_hits.prepare_directory(self.hits_directory)

    def arm(self, *rules, boot_id=None):
        boot = boot_id or Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return cuda_control.write(self.control, rules, boot_id=boot, now_ns=later(0))

    @staticmethod
    def gpu(index):
        return GpuUuid(UUIDS[index])

    def environment(self, **more):
        """The environment of a pod; a variable given as None is taken out."""
        variables = {
            "PATH": os.environ["PATH"],
            "LD_LIBRARY_PATH": str(self.built.stub),
            "LD_PRELOAD": str(self.built.library),
            "SCENARIO_RUNNER_CUDA_CONTROL": str(self.control),
            "SCENARIO_RUNNER_CUDA_HITS": str(self.hits_directory),
            "SCENARIO_RUNNER_CUDA_POLL_MS": "10",
            **more,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def run(self, *command, code=0, **environment):
        """What a program prints on stdout and stderr together, as one line; it must exit with `code`."""
        done = subprocess.run(
            [str(part) for part in command],
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
            check=False,
        )
        output = " ".join(done.stdout.split())
        assert done.returncode == code, output
        return output

    def do(self, steps, **environment):
        """The answers to the steps of programs/steps.c."""
        return self.run(self.steps, *steps.split(), **environment)

    def start(self, steps, **environment):
        process = subprocess.Popen(
            [str(self.steps), *steps.split()],
            env=self.environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running.append(Client(process))
        return self._running[-1]

    def records(self) -> list[ProcessHits]:
        read = cuda_hits.read_hits(self.hits_directory)
        assert read.unreadable == ()
        return sorted(read.processes, key=lambda record: record.start_ticks)

    def hits(self) -> list[Hit]:
        """Of all processes."""
        return [hit for record in self.records() for hit in record.hits]

    def wait_for_hit(self):
        """Until some process has told of a hit; within a call that hangs there is nobody else to ask."""
        until = time.monotonic() + 40
        while not any(record.hits for record in cuda_hits.read_hits(self.hits_directory).processes):
            assert time.monotonic() < until, "nothing was hit"
            time.sleep(0.005)

    def end(self):
        for client in self._running:
            client.kill()
