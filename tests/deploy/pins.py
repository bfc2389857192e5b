"""The part of the lock that an image needs, with its hashes: made from what the projects say that they depend on."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
IMAGES = "agent/deploy/images"
_HEAD = "# Made from .ci/requirements.txt by `make generate`; do not edit.\n"
# What an image is: markers of dependencies are judged by it, whatever this machine is.
_IMAGE = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.9",
    "python_version": "3.13",
    "sys_platform": "linux",
}


def image_requirements() -> Iterator[tuple[str, str]]:
    """Path in the repository and content of each image's file."""
    agent, runner = (_dependencies(ROOT / name) for name in ("agent/pyproject.toml", "pyproject.toml"))
    yield f"{IMAGES}/build.requirements.txt", _pinned(["setuptools"])
    yield f"{IMAGES}/agent.requirements.txt", _pinned(agent)
    yield f"{IMAGES}/runner.requirements.txt", _pinned(runner)


def _dependencies(project: Path) -> list[str]:
    found = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    assert isinstance(found, list)
    return found


def _pinned(wanted: Iterable[str]) -> str:
    locked = _lock()
    return _HEAD + "".join(locked[name] for name in sorted(_closure(map(Requirement, wanted))))


def _closure(wanted: Iterable[Requirement]) -> set[str]:
    """Everything that is needed, by its normal name."""
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        requirement = waiting.pop()
        name = _normal(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate(_IMAGE)):
            found.add(name)
            waiting += map(Requirement, metadata.requires(name) or ())
    return found


@cache
def _lock() -> dict[str, str]:
    """Name -> its entry in the lock."""
    text = (ROOT / ".ci/requirements.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^[A-Za-z0-9].*\n(?:    .*\n)*", text, re.MULTILINE)
    return {_normal(re.split(r"[=\[ ;]", entry, maxsplit=1)[0]): entry for entry in entries}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
