"""Starts agents by forking a process that has imported them already, as a lab does; speaks JSON lines.

`{"argv": [...], "env": {...}, "output": PATH, "file_size": N|null}` answers the new process id,
`{"wait": PID}` its exit status.
"""

import json
import os
import resource
import signal
import sys
from typing import Any

from fault_agent.main import main


def _become_agent(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.environ.update(order["env"])
    if order["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))


def _start(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        _become_agent(order)
        status = main(order["argv"])
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def serve() -> None:
    """Until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        answer = _wait(order["wait"]) if "wait" in order else _start(order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
