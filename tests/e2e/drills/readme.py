"""The way from a cluster to its first drill as the README tells it: three commands, run as a person would."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.drill import FIRST_IN_LINE, Stage
from tests.e2e.place import Trouble
from tests.e2e.running import run

_ROOT = Path(__file__).parents[3]
_BLOCK = r"^```\n(%s .*?)^```"

NAMESPACE, RELEASE, VALUES = "scenario-runner", "fault-agent", "my-values.yaml"  # as the first command calls them


def commands() -> tuple[str, str, str]:
    """Label, install, drill."""
    label, install, drill = _block("kubectl label node")
    return label, install, drill


def for_pod_security() -> tuple[str, str]:
    """What comes before where namespaces enforce a level: make the namespace, let it have privileged pods."""
    create, allow = _block("kubectl create namespace")
    return create, allow


def _block(begin: str) -> list[str]:
    (block,) = re.findall(_BLOCK % begin, (_ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(block).splitlines()


def prepare(stage: Stage) -> None:
    """
    The folder is where that person is: in the repository, with a file of values.

    It says more than where the image is: nobody pulls it here, there is no driver to ask for GPUs, every node may be a
    victim, and the state lies in a folder of its own.
    """
    for name in ("agent", "scenarios"):
        (stage.folder / name).symlink_to(_ROOT / name)
    stage.agents.write_values(stage.folder / VALUES)


def carry_out(stage: Stage, command: str) -> str:
    """As whoever may do everything; what it said. Raises Trouble if it failed."""
    environment = {**_environment(stage), "KUBECONFIG": str(stage.cluster.kubeconfig)}
    return run("bash", "-c", command, cwd=stage.folder, env=environment)


def carry_out_and_agree(stage: Stage, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """At a terminal, where somebody types yes; `variables` are those of the scenario."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"yes\n")
        own = {f"SCENARIO_VAR_{name.upper()}": value for name, value in variables.items()}
        return subprocess.run(
            [*FIRST_IN_LINE, "bash", "-c", command], cwd=stage.folder, env={**_environment(stage), **own},
            stdin=theirs, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)


def _environment(stage: Stage) -> dict[str, str]:
    """With the programs of the cluster's version, and ours, in front."""
    programs = Path(sys.executable).with_name("scenario-runner")
    if not programs.exists():
        raise Trouble(f"{programs} is missing: `make install` puts it there.")
    found = [programs.parent, stage.cluster.kubectl_path.parent, stage.cluster.helm_path.parent]
    path = os.pathsep.join([*map(str, found), os.environ["PATH"]])
    return {**stage.environment(), "PATH": path}
