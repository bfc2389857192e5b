"""`python -m tests.e2e`: everything that needs the real cluster, from a bare machine on. Arguments go to pytest."""

import subprocess
import sys

from tests.e2e import binaries, image, prerequisites
from tests.e2e.place import Trouble


def main(arguments: list[str]) -> int:
    """The exit code of pytest, or 1 with one sentence if this machine can not have a cluster."""
    try:
        prerequisites.require()
        binaries.build()
        image.build_base()
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return subprocess.call([sys.executable, "-m", "pytest", "-m", "e2e", *arguments])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
