"""Starts a component as a fork of the keeper, which shares everything that was imported once."""

import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from scenario_runner.lab.components import Component

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on a descendant whose parent ends becomes a child of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def name_process(name: str) -> None:
    """What `ps` shows as the command's name."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def _prctl(option: int, value: int | bytes) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def fork_component(component: Component, log: Path, close: Callable[[], None]) -> int:
    """Start it in a session of its own, its output appended to `log`; `close` drops what only the keeper may hold."""
    return fork(lambda: _run(component), component.name, log, close)


def fork(work: Callable[[], int], name: str, log: Path, close: Callable[[], None]) -> int:
    """Returns the pid in the parent; the child runs `work` and never comes back."""
    gc.freeze()  # keeps the garbage collector's marks off the shared pages
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        close()
        _detach(log)
        name_process(name)
        code = work()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, it must not unwind into the keeper's own code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _detach(log: Path) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _run(component: Component) -> int:
    main = importlib.import_module(component.module).main
    return int(main(list(component.argv)) or 0)
