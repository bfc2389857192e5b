"""A thousand steps that do nothing, ours beside `chaos run`, which lives in an environment of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.rows import Row, against
from tests.bench.start import ROOT

HERE = ROOT / ".venv-bench"
LOCK = ROOT / ".ci" / "requirements-bench.txt"
ROUNDS = 7
OURS = (sys.executable, "-m", "tests.bench.no_op")
THEIRS = (str(HERE / "bin" / "python"), str(Path(__file__).with_name("chaos_no_op.py")))


def measure() -> Iterator[Row]:
    install()
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for number in range(ROUNDS):
        sides = [(ours, OURS), (theirs, THEIRS)]
        for figures, command in sides if number % 2 else reversed(sides):
            figures.append(_told(command))
    for part, what in (("engine", "engine alone"), ("whole", "from the file to the reports")):
        pairs = [(one[part], other[part]) for one, other in zip(ours, theirs, strict=True)]
        yield against(f"1,000 no-op steps, {what}, and chaos run", pairs, 1.0)


def install() -> None:
    """Make the environment of the other side from its lock, unless it is there already."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    mark = HERE / "installed"
    if mark.is_file() and mark.read_text() == wanted:
        return
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    (HERE / ".gitignore").write_text("*\n")  # first of all, so that no linter ever looks into it
    venv.create(HERE, with_pip=True)
    pip = [THEIRS[0], "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    mark.write_text(wanted)


def _told(command: Sequence[str]) -> dict[str, float]:
    """What a side says about itself; both write their lines into a file, so that no reader holds them up."""
    with tempfile.TemporaryDirectory() as name, Path(name, "lines").open("w+") as lines:
        home = {**os.environ, "HOME": name}
        done = subprocess.run(
            [*command, str(Path(name, "run"))], cwd=ROOT, env=home, stdout=subprocess.PIPE, stderr=lines, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            lines.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {lines.read()[-1000:]}")
        figures: dict[str, float] = json.loads(done.stdout)
        return figures
