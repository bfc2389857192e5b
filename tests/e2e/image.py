"""The images of the cluster: Debian with Python and the project's dependencies, and the project itself on top."""

import hashlib
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.e2e import archive
from tests.e2e.archive import Layer, Start
from tests.e2e.binaries import cache_folder, locked
from tests.e2e.node import Node
from tests.e2e.node_files import PAUSE_IMAGE
from tests.e2e.place import Trouble
from tests.e2e.running import run

BASE_IMAGE = "docker.io/library/e2e-python"
AGENT_IMAGE = "docker.io/library/fault-agent:e2e"
RUNNER_IMAGE = "docker.io/library/scenario-runner:e2e"
DRIVER = "/opt/nvidia"  # where NVIDIA's container runtime would mount the driver: the stand-in for it

_REPOSITORY = Path(__file__).parents[2]
_LOCK = _REPOSITORY / ".ci" / "requirements.txt"
_PACKAGES = "python3-minimal,libpython3-stdlib"
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
_SOURCES = tuple(
    Path("/etc/apt", name)
    for name in ("sources.list.d/debian.sources", "sources.list.d/ubuntu.sources", "sources.list")
)
_COMMANDS = {"scenario-runner": "scenario_runner.cli", "fault-agent": "fault_agent.main"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Base:
    """What changes seldom: the archive of the pause image, and one with all layers below the project's own."""

    pause: Path
    reference: str
    archive: Path
    layers: tuple[Layer, ...]
    python: str  # its version, e.g. 3.11


def build_base() -> Base:
    """Build what is not built yet. Raises Trouble."""
    program, cache = build_pause(), cache_folder()
    with locked(cache):
        pause = _kept(cache / f"{program.name}.oci.tar", lambda file: _pause(file, program))
        system = Layer.of(_kept(cache / f"system-{_key(*_system_command())}.tar", _make_system))
        version = _python_of(system.file)
        lock = _locked_dependencies()
        libraries_file = cache / f"libraries-{_key(lock, version)}.tar"
        libraries = Layer.of(_kept(libraries_file, lambda file: _make_libraries(file, lock, version)))
        layers, key = (system, libraries), _key(system.sha256, libraries.sha256)
        reference, start = f"{BASE_IMAGE}:{key}", Start(environment={"PATH": _PATH})
        whole = _kept(cache / f"base-{key}.oci.tar", lambda file: archive.write(file, reference, start, layers))
    return Base(pause, reference, whole, layers, version)


def build_pause() -> Path:
    """The program that is process 1 of nodes and pods."""
    source = Path(__file__).parent / "modules" / "pause.c"
    cache = cache_folder()
    with locked(cache):
        return _kept(
            cache / f"pause-{_key(source.read_text())}",
            lambda file: run("gcc", "-Os", "-static", "-s", "-o", file, source),
        )


def load(node: Node, base: Base, project: Sequence[Path]) -> None:
    """Give a node all images; the big one only if it has not got it."""
    if not node.has_image(base.reference):
        node.import_image(base.pause)
        node.import_image(base.archive)
    for one in project:
        node.import_image(one)


def _kept(file: Path, make: Callable[[Path], object]) -> Path:
    """`file`, made if it is absent; what was only half made is never taken for it."""
    if not file.exists():
        draft = file.with_name(f"{file.name}.new")
        draft.unlink(missing_ok=True)
        make(draft)
        draft.rename(file)
    return file


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _pause(file: Path, program: Path) -> None:
    layer = archive.pack(file.with_name("pause-layer.tar"), {"/pause": program})
    archive.write(file, PAUSE_IMAGE, Start(("/pause",)), [layer])


def _codename() -> str:
    """Of this machine's Debian: the image is made from the packages that it can install."""
    text = Path("/etc/os-release").read_text()
    match = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if match is None:
        raise Trouble("/etc/os-release names no release of Debian, from which the image could be made.")
    return match.group(1)


def _system_command() -> list[str]:
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    options += ["--quiet", "--mode=root", "--variant=minbase", "--format=tar", f"--include={_PACKAGES}"]
    return ["mmdebstrap", *options, '--aptopt=Apt::Install-Recommends "false"', _codename()]


def _make_system(file: Path) -> None:
    print("building the system of the image from Debian packages", flush=True)
    sources = next((one for one in _SOURCES if one.exists()), None)
    if sources is None:
        raise Trouble("The image is made from the machine's own package sources, and there are none.")
    run(*_system_command(), file, sources)


def _python_of(system: Path) -> str:
    """The version of Python in the image, e.g. 3.11."""
    listing = run("tar", "--list", "--file", system, "--wildcards", "./usr/bin/python3.*")
    match = re.search(r"^\./usr/bin/python(3\.\d+)$", listing, re.MULTILINE)
    if match is None:
        raise Trouble(f"There is no Python in {system}.")
    return match.group(1)


def _locked_dependencies() -> str:
    """The part of the lock that the project needs to run, without the tools of its developers."""
    needed = set(_needed("scenario-runner"))
    blocks = re.findall(r"^\S+==\S+.*(?:\n    .*)*", _LOCK.read_text(), re.MULTILINE)
    return "\n".join(block for block in blocks if _canonical(block.partition("==")[0]) in needed) + "\n"


def _needed(distribution: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names of what `distribution` needs, and what that needs in turn, as installed here."""
    for line in metadata.requires(distribution) or []:
        requirement = Requirement(line)
        name = _canonical(requirement.name)
        if name not in seen and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            yield name
            seen |= {name}
            yield from _needed(name, seen)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _make_libraries(file: Path, lock: str, version: str) -> None:
    print("building the layer of the project's dependencies", flush=True)
    folder, pins = file.with_name("libraries"), file.with_name("libraries.txt")
    shutil.rmtree(folder, ignore_errors=True)
    pins.write_text(lock)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    source = ["--require-hashes", "--only-binary=:all:", "--python-version", version]
    run(*pip, *source, "--target", folder, "--requirement", pins)
    archive.pack(file, {_site(version): folder})
    shutil.rmtree(folder)


def _site(version: str) -> str:
    return f"/usr/local/lib/python{version}/dist-packages"


def build_project(base: Base, folder: Path) -> tuple[Path, ...]:
    """
    Thin archives of AGENT_IMAGE and RUNNER_IMAGE, in `folder`, from the wheel of this working tree.

    They name the layers of `base` and leave them out, which makes them small and quick to import.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "site").mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    run(*pip, "--no-build-isolation", "--wheel-dir", folder, _source(folder / "source"))
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    run("make", "-s", "-C", folder / "source" / "cuda_lib", "stub", f"PYTHON={sys.executable}")
    contents = {_site(base.python): folder / "site", "/scenarios": _REPOSITORY / "scenarios"}
    contents[DRIVER] = folder / "source" / "cuda_lib" / "build" / "stub"
    contents |= {f"/usr/local/bin/{name}": _script(folder / name, module) for name, module in _COMMANDS.items()}
    contents["/usr/local/bin/python"] = folder / "python"
    contents["/usr/local/bin/python"].symlink_to("/usr/bin/python3")
    layers = (*base.layers, archive.pack(folder / "project.tar", contents))
    environment = {"PATH": _PATH, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    made = []
    for reference, command in ((AGENT_IMAGE, "fault-agent"), (RUNNER_IMAGE, "scenario-runner")):
        made.append(folder / f"{command}.oci.tar")
        start = Start((f"/usr/local/bin/{command}",), environment)
        archive.write(made[-1], reference, start, layers, thin=base.layers)
    return tuple(made)


def _script(file: Path, module: str) -> Path:
    file.write_text(f"#!/usr/bin/python3\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
    file.chmod(0o755)
    return file


def _source(folder: Path) -> Path:
    """A copy to build the wheel in: building writes into the tree."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(_REPOSITORY / name, folder)
    for name in ("scenario_runner", "agent", "cuda_lib"):
        shutil.copytree(_REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
    return folder
