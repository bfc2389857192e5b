"""How many file watchers this machine allows: more than usual while a cluster is up."""

from contextlib import suppress
from pathlib import Path

from tests.e2e.place import CLUSTERS, Trouble

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_BEFORE = "max_user_instances"  # beside the clusters: what the limit was before the first cluster
_NEEDED = 1024  # a cluster takes 80 of them, a usual limit is 128


def allow(limit: Path = _LIMIT, clusters: Path = CLUSTERS) -> None:
    """Call with a cluster's folder in place. Raises Trouble."""
    now = int(limit.read_text())
    if now >= _NEEDED:
        return
    if not (clusters / _BEFORE).exists():
        (clusters / _BEFORE).write_text(str(now))
    try:
        limit.write_text(str(_NEEDED))
    except OSError as error:
        raise Trouble(f"{limit} is {now} and can not be raised, and a cluster needs more: {error.strerror}.") from error


def restore(limit: Path = _LIMIT, clusters: Path = CLUSTERS) -> None:
    """When the last cluster is gone, the limit is again what it was."""
    if any(one.is_dir() for one in clusters.glob("*")):
        return
    with suppress(FileNotFoundError):
        limit.write_text((clusters / _BEFORE).read_text())
        (clusters / _BEFORE).unlink()
