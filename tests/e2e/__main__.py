"""`python -m tests.e2e`: everything that needs the real cluster, from a bare machine on. Arguments go to pytest."""

import sys

import pytest

from tests.e2e import binaries, image, prerequisites
from tests.e2e.place import Trouble


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
        binaries.build()
        image.build_base()
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    skipped = NothingIsSkipped()
    # The first test of any folder may have to wait for the cluster.
    code = int(pytest.main(["-m", "e2e", "--timeout=300", *arguments], [skipped]))
    if skipped.names:
        print(f"Nothing may be skipped here: {', '.join(skipped.names)}", file=sys.stderr)
    return code or bool(skipped.names)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
