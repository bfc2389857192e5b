"""How many file watchers this machine allows: more than usual while a cluster is up."""

from contextlib import suppress
from pathlib import Path

from tests.e2e.place import CLUSTERS, Trouble

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_BEFORE = CLUSTERS / "max_user_instances"  # what the limit was before the first cluster
_NEEDED = 1024  # a cluster takes 80 of them, a usual limit is 128


def allow() -> None:
    """Call with a cluster's folder in place. Raises Trouble."""
    limit = int(_LIMIT.read_text())
    if limit >= _NEEDED:
        return
    if not _BEFORE.exists():
        _BEFORE.write_text(str(limit))
    try:
        _LIMIT.write_text(str(_NEEDED))
    except OSError as error:
        raise Trouble(
            f"{_LIMIT} is {limit} and can not be raised, and a cluster needs more: {error.strerror}."
        ) from error


def restore() -> None:
    """When the last cluster is gone, the limit is again what it was."""
    if any(one.is_dir() for one in CLUSTERS.glob("*")):
        return
    with suppress(FileNotFoundError):
        _LIMIT.write_text(_BEFORE.read_text())
        _BEFORE.unlink()
