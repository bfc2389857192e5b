"""Test-only: dies by SIGKILL at a named point, so that tests can prove what a crash leaves behind."""

import os
import signal


def die_at(point: str) -> None:
    """Kill this process if the environment says `FAULT_AGENT_DIE_AT=<point>`; otherwise do nothing.

    Nothing else in the agent reads that variable, and no request can set it.
    """
    if os.environ.get("FAULT_AGENT_DIE_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)
