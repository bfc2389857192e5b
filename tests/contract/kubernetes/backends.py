"""The lab's API server as the suite asks it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contract.clusters import write_kubeconfig
from tests.contract.kubernetes.server import Server

_ROOT = Path(__file__).parents[3]
# Seconds, short enough to wait for: until a silent node counts as lost, until its pods are evicted. The real
# cluster of the tests is set to 8 and 5.
LOST_AFTER, EVICTED_AFTER = 2, 1
HISTORY = 300  # changes per resource that the lab's server remembers here, so that a check can overrun it


@contextmanager
def lab_server(folder: Path) -> Iterator[Server]:
    """The lab's API server with its controllers, without kubelets."""
    command = [sys.executable, "-m", "scenario_runner.lab.apiserver", "--history", str(HISTORY)]
    command += ["--node-grace", str(LOST_AFTER), "--heartbeat-start-grace", str(2 * LOST_AFTER)]
    command += ["--eviction-after", str(EVICTED_AFTER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        server = Server("lab", write_kubeconfig(folder, url))
        try:
            yield server
        finally:
            server.close()
            process.terminate()
            process.wait(10)
