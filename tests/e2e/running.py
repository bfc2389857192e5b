"""Runs other programs, and says in one sentence what went wrong with them."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.e2e.place import Trouble


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What the program printed; raises Trouble with the end of its complaints."""
    done = try_to_run(*command, cwd=cwd, env=env)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise Trouble(f"`{_short(command)}` ended with {done.returncode} and said: {' / '.join(said[-5:])}")
    return done.stdout


def try_to_run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Like `run`, for those who want to look at the exit code themselves."""
    try:
        return subprocess.run(
            [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False, input=stdin
        )
    except FileNotFoundError as error:
        raise Trouble(f"The program {command[0]} is not installed.") from error


def start_daemon(command: Sequence[str | Path], log: Path, cwd: Path | None = None) -> None:
    """Run a command that puts itself into the background; all that is printed is added to `log`. Raises Trouble."""
    with log.open("ab") as file:
        done = subprocess.run(
            [str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        )
    if done.returncode:
        raise Trouble(f"`{_short(command)}` ended with {done.returncode}, see {log}.")


def _short(command: Sequence[str | Path]) -> str:
    text = " ".join(str(part) for part in command)
    return text if len(text) < 200 else f"{text[:200]}..."


def wait_for(what: str, seconds: float, look: Callable[[], bool], every: float = 0.1) -> None:
    """Until `look` says yes; raises Trouble naming `what` when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise Trouble(f"Waited {seconds:g}s in vain: {what}.")
        time.sleep(every)
