"""
`python -m tests.e2e`: everything that needs the real cluster, from a bare machine on. Arguments go to pytest.

All tests run on two clusters at once, the drills on one, the others on the other: most of them wait most of the time.
Options alone still mean all tests; where tests are named, there is one cluster.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e import binaries, image, prerequisites
from tests.e2e.command import DEFAULT_NAME
from tests.e2e.place import Trouble

_DRILLS = "tests/e2e/drills"


class NothingIsSkipped:
    """A test that was skipped here would never run anywhere: the run fails."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.names.append(report.nodeid)


def main(arguments: list[str]) -> int:
    """The exit code of pytest, or 1 with one sentence if this machine can not have a cluster or a test was skipped."""
    try:
        prerequisites.require()
        prerequisites.require_real_time()
        prerequisites.require_kernel_log()
        binaries.build()
        image.build_base()
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    if not all(one.startswith("-") for one in arguments):
        return run(arguments)
    with _beside([_DRILLS, *arguments]) as drills:
        code = run([f"--ignore={_DRILLS}", *arguments])
        if code == pytest.ExitCode.INTERRUPTED:
            return code
        print("\nThe drills, on a cluster of their own meanwhile:", flush=True)
        return drills.wait() or code


def run(arguments: list[str]) -> int:
    """The exit code of pytest, or 1 if a test was skipped."""
    skipped = NothingIsSkipped()
    # The first test of any folder may have to wait for the cluster.
    code = int(pytest.main(["-m", "e2e", "--timeout=300", *arguments], [skipped]))
    if skipped.names:
        print(f"Nothing may be skipped here: {', '.join(skipped.names)}", file=sys.stderr)
    return code or bool(skipped.names)


@contextmanager
def _beside(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """This program with another cluster. What it says is told at the end, and it does not outlive us."""
    name = f"{os.environ.get('E2E_CLUSTER', DEFAULT_NAME)}-drills"
    command = [sys.executable, "-m", "tests.e2e", *arguments]
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            command, env={**os.environ, "E2E_CLUSTER": name}, stdout=output, stderr=output
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)  # it takes its cluster down
        output.seek(0)
        print(output.read().decode(errors="replace"), flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
