"""A drill from an installed package, far from any clone: its wheel brings the library and the lab's driver along."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.scenarios.drill import ROOT, Bench

pytestmark = [pytest.mark.drill, pytest.mark.lab, pytest.mark.timeout(400)]

SCENARIO = """version: 1
name: installed
namespace: dynamo
targets:
  worker: {workload: deployment/vllm-decode}
  victim: {gpu_of: worker}
guards: {min_ready: {worker: 2}}
steps:
- patch_cuda: {target: worker, armed: true, victim: victim, profile: mmu-fault}
  id: library
- assert_cuda_hits: {of: library, processes: at least 1, target: worker}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return install(ROOT, tmp_path)


def install(project: Path, folder: Path) -> Path:
    """The folder of the commands; what the package depends on is borrowed from this environment."""
    home = folder / "environment"
    venv.create(home, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home / "bin" / "python")]
    options = ["-q", "--no-deps", "--no-build-isolation", "--no-index"]
    build = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(project)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    return home / "bin"


def test_a_wheel_in_an_environment_of_its_own_gives_a_lab_in_which_cuda_fails(installed: Path, tmp_path: Path) -> None:
    scenario, state = tmp_path / "installed.yaml", {**os.environ, "SCENARIO_RUNNER_STATE": str(tmp_path / "state")}
    scenario.write_text(SCENARIO)
    where = subprocess.run(
        [installed / "python", "-c", "import scenario_runner as it; print(it.__file__)"], cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout).is_relative_to(installed.parent)
    words = ("run", "--lab", "--vars-file", str(ROOT / "scenarios/vars/lab.yaml"), "--report-dir", "reports")
    done = subprocess.run(
        [installed / "scenario-runner", *words, scenario.name], cwd=tmp_path, env=state, capture_output=True,
        text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (tmp_path / "reports").glob("*/report.json")
    (fault,) = json.loads(file.read_text())["faults"]
    assert (fault["cuda"], fault["evidence"], len(fault["hits"]) >= 1) == ("mmu-fault", "hit", True)
    assert agent_says(installed, tmp_path) == (0, "fault-agent 0.1.0\n")
    assert Bench(tmp_path).processes(of_labs=True) == []
    assert [one.name for one in (tmp_path / "state" / "labs").iterdir()] == []


def agent_says(commands: Path, folder: Path) -> tuple[int, str]:
    words = [commands / "fault-agent", "--version"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
