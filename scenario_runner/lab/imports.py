"""What the keeper imports before it forks, so that its children share it."""

import importlib
from collections.abc import Sequence

_FIRST = ("uvicorn", "starlette.applications", "jsonpatch", "scenario_runner.lab.apiserver.main")
# The agent is named, not imported by a statement: this package must not depend on its code.
_REST = (
    "scenario_runner.lab.kubelet.main",
    "scenario_runner.lab.proxy",
    "scenario_runner.lab.setup",
    "scenario_runner.lab.platform.main",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.lifespan.off",
    "fault_agent.main",
)


def first() -> None:
    """What the API server needs, which everybody waits for."""
    _load(_FIRST)


def rest() -> None:
    """What all others need, while the API server starts."""
    _load(_REST)


def _load(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)
