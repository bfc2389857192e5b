"""How long after its event a wait ends: a node is patched in a lab, and the engine's watch has to see it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.clock import Bell, Deadline, Look, SystemClock, wait_until
from scenario_runner.core.observations import ObservationLog
from scenario_runner.core.samples import percentile
from scenario_runner.engine.watches import Watches
from scenario_runner.lab.lab import LabInfo
from tests.bench.rows import Row, below, seconds
from tests.fakes import plan_of

EVENTS = 200
ANNOTATION = "bench.scenario-runner/number"
BETWEEN = 0.011  # seconds; no multiple of anything that might poll
PATIENCE = 10.0


def measure(info: LabInfo) -> Iterator[Row]:
    clock = SystemClock(Bell())
    log = ObservationLog(clock)
    with closing(KubernetesCluster(Path(info.kubeconfig))) as cluster, closing(Watches(cluster, log)) as watches:
        watches.begin(plan_of(), (), Deadline.after(clock, PATIENCE))
        with closing(Patcher(info)) as patcher:
            figures = [_one(clock, log, patcher, number) for number in range(EVENTS)]
    late = sorted(total for total, _ in figures)
    answered = median(answer for _, answer in figures)
    remark = f"{EVENTS} events; the PATCH itself is answered after {seconds(answered)}"
    yield below("end of a wait after its event, median", median(late), 0.020, remark=remark)
    worst = percentile(late, 99)
    assert worst is not None
    yield below("end of a wait after its event, p99", worst, 0.060, remark=f"worst {seconds(late[-1])}")


class Patcher:
    """Changes an annotation of the first node over one connection."""

    def __init__(self, info: LabInfo) -> None:
        self._connection = HTTPConnection(urlsplit(info.api_url).netloc, timeout=PATIENCE)
        self._path = f"/api/v1/nodes/{info.nodes[0]}"
        token = Path(info.token_file).read_text(encoding="utf-8").strip()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
        self.node = info.nodes[0]

    def patch(self, number: int) -> None:
        body = json.dumps({"metadata": {"annotations": {ANNOTATION: str(number)}}})
        self._connection.request("PATCH", self._path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the lab refused a PATCH with {answer.status}")

    def close(self) -> None:
        self._connection.close()


def _one(clock: SystemClock, log: ObservationLog, patcher: Patcher, number: int) -> tuple[float, float]:
    """Seconds from just before the PATCH is sent to the end of the wait, and to the answer."""
    ended: list[float] = []

    def look() -> Look[None]:
        seen = log.value("node", patcher.node, f"annotation/{ANNOTATION}")
        return Look(seen == str(number), f"it is {seen!r}", None)

    def wait() -> None:
        wait_until(f"the annotation did not become {number}", look, Deadline.after(clock, PATIENCE))
        ended.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(BETWEEN)
    begun = time.monotonic()
    patcher.patch(number)
    answered = time.monotonic()
    waiter.join()
    return ended[0] - begun, answered - begun
