"""The fault agent as a package of its own, as its image has it."""

import subprocess
from pathlib import Path

import pytest

from tests.scenarios.drill import ROOT
from tests.scenarios.test_installed import agent_says, install

pytestmark = pytest.mark.timeout(200)


def test_the_agent_is_a_package_of_its_own_too(tmp_path: Path) -> None:
    commands = install(ROOT / "agent", tmp_path)
    where = subprocess.run(
        [commands / "python", "-c", "import fault_agent as it; print(it.__file__)"], cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout).is_relative_to(commands.parent)
    assert agent_says(commands, tmp_path) == (0, "fault-agent 0.1.0\n")
