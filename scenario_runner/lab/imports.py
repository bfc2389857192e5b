"""What the keeper imports before it forks, so that its children share it; in the order of the forks."""

import importlib
from collections.abc import Sequence

FIRST = ("uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.off", "scenario_runner.lab.apiserver.main")
SECOND = ("scenario_runner.lab.kubelet.main", "scenario_runner.lab.setup")
# The agent is named, not imported by a statement: this package must not depend on its code.
REST = ("scenario_runner.lab.proxy", "scenario_runner.lab.platform.main", "fault_agent.main")


def load(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)
