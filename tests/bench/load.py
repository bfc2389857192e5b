"""Whether 10,000 requests a second start on schedule while the engine is busy."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from statistics import median

from scenario_runner.core.samples import LATE, MOST_LATE
from tests.bench.load_bench import HEAD, SERVICE
from tests.bench.load_bench import measure as load
from tests.bench.rows import Row, below

RATE = 10_000.0
SECONDS = 8.0
ROUNDS = 3
MOST_LOST = 0.1  # per cent: a pace that nobody answers is not held


def measure() -> Iterator[Row]:
    service = subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        port = int(service.stdout.readline())
        with redirect_stdout(sys.stderr):  # what it says beside its figures
            rounds = [dict(zip(HEAD, load(port, RATE, SECONDS), strict=True)) for _ in range(ROUNDS)]
    finally:
        service.kill()
        service.wait()
    late = median(float(one["late"].rstrip("%")) for one in rounds)
    worst = ", ".join(one["late"] for one in rounds)
    sent, failed = (sum(int(one[name]) for one in rounds) for name in ("sent", "failed"))
    remark = f"rounds: {worst}; {sent} sent, {failed} failed, worker CPU {rounds[-1]['worker CPU']}"
    what = f"starts later than {LATE * 1000:g} ms at {RATE:,.0f}/s beside a busy engine"
    yield below(what, late, MOST_LATE * 100, "%", remark)
    lost = 1 - (sent - failed) / (RATE * SECONDS * ROUNDS)
    yield below("requests of these that were not sent or failed", lost * 100, MOST_LOST, "%")
