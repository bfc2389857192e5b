"""
Does load start on schedule while the engine is busy? Prints a table.

Two rows take turns: 10,000 requests/s, and 100/s for the noise of this machine. Meanwhile a thread of this process
computes without pause and holds the interpreter lock, as a busy engine would; the service is a process of its own.

    python -m tests.bench.load_bench [--rate 10000] [--seconds 10] [--rounds 3]
"""

import argparse
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from scenario_runner.adapters.load_process import LoadProcessRun
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.samples import LATE, LoadOrder, percentile
from scenario_runner.load.protocol import Due, Message

SERVICE = """
import asyncio

class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok" * data.count(b"\\r\\n\\r\\n"))

async def main():
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

try:
    from uvloop import run
except ImportError:
    from asyncio import run
run(main())
"""

QUIET = 100.0  # requests per second of the row that shows the noise of the machine
HEAD = (
    "rate/s",
    "sent",
    "failed",
    "late",
    "p50",
    "p99",
    "worst",
    "latency p50",
    "p99",
    "worker CPU",
    "reader CPU",
    "busy",
)


class WatchedRun(LoadProcessRun):
    """A load that also remembers how late each request started."""

    def __init__(self, order: LoadOrder, clock: SystemClock) -> None:
        self.lateness: list[float] = []
        self.reader_cpu = 0.0
        super().__init__(order, clock)

    def _take(self, message: Message) -> None:
        super()._take(message)
        if isinstance(message, Due):
            self.lateness.append(message.started - message.scheduled)
        self.reader_cpu = time.thread_time()


@dataclass
class BusyEngine:
    """A thread that holds the interpreter lock whenever it gets it."""

    rounds: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "BusyEngine":
        self._thread = threading.Thread(target=self._compute)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _compute(self) -> None:
        while not self._over.is_set():
            sum(range(10_000))
            self.rounds += 1


def measure(port: int, rate: float, seconds: float) -> tuple[str, ...]:
    """One row of the table."""
    clock = SystemClock(Bell())
    order = LoadOrder("bench", f"http://127.0.0.1:{port}/", rate=rate, duration=seconds)
    with BusyEngine() as engine:
        run = WatchedRun(order, clock)
        while not run.finished:
            clock.wait(clock.bell.rings, 0.25)
            run.samples.select()  # what a gate that is judged all the time asks for
    selection = run.samples.select()
    late = sorted(run.lateness)
    if run.statistics is None or not late:
        raise SystemExit(f"the load is broken: {run.broken}")
    for reason, count in selection.failures.items():
        print(f"{count} times: {reason}")
    return (
        f"{rate:.0f}",
        f"{selection.total}",
        f"{selection.total - selection.succeeded}",
        f"{sum(each > LATE for each in late) / len(late):.3%}",
        *(_milliseconds(value) for value in (percentile(late, 50), percentile(late, 99), late[-1])),
        *(_milliseconds(percentile(selection.latencies, q)) for q in (50, 99)),
        f"{run.statistics.cpu / seconds:.0%}",
        f"{run.reader_cpu / seconds:.0%}",
        f"{engine.rounds / seconds:.0f}/s",
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f}ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    service = subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        port = int(service.stdout.readline())
        print("".join(f"{name:>12}" for name in HEAD))
        for _ in range(options.rounds):
            for rate in (QUIET, options.rate):
                print("".join(f"{cell:>12}" for cell in measure(port, rate, options.seconds)), flush=True)
    finally:
        service.kill()
        service.wait()


if __name__ == "__main__":
    main()
