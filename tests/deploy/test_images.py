"""The Dockerfiles, as far as they can be checked without building them."""

import fnmatch
import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from tests.deploy.documents import AGENT_DEFAULTS
from tests.deploy.pins import IMAGES, ROOT, image_requirements


@dataclass(frozen=True)
class Dockerfile:
    """The instructions of one file, with continued lines joined."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / IMAGES / f"{self.name}.Dockerfile"

    def lines(self, instruction: str) -> list[str]:
        text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", self.path.read_text(), flags=re.MULTILINE))
        return [line.partition(" ")[2].strip() for line in text.splitlines() if line.startswith(f"{instruction} ")]

    def sources(self) -> list[str]:
        """What is copied from the repository."""
        copies = [shlex.split(line) for line in self.lines("COPY")]
        return [source for parts in copies if not parts[0].startswith("--from") for source in parts[:-1]]

    def is_sent(self, path: str) -> bool:
        """Whether the build's context has it: the last matching pattern of the ignore file decides."""
        sent = True
        for line in Path(f"{self.path}.dockerignore").read_text().splitlines():
            if line and not line.startswith("#"):
                pattern = line.removeprefix("!")
                if path == pattern or path.startswith(f"{pattern}/") or fnmatch.fnmatch(path, pattern):
                    sent = line.startswith("!")
        return sent


DOCKERFILES = (Dockerfile("agent"), Dockerfile("runner"))
each = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda dockerfile: dockerfile.name)


def project(name: str) -> Any:
    path = ROOT / ("agent/pyproject.toml" if name == "agent" else "pyproject.toml")
    return tomllib.loads(path.read_text())["project"]


@each
def test_everything_that_is_copied_exists_and_is_sent(dockerfile: Dockerfile) -> None:
    assert len(dockerfile.sources()) >= 4
    for source in dockerfile.sources():
        assert (ROOT / source).exists(), source
        assert dockerfile.is_sent(source), source


@each
def test_nothing_else_is_sent(dockerfile: Dockerfile) -> None:
    others = (".git", ".venv", "reports", "tests", ".ci/requirements.txt", "agent/fault_agent/__pycache__")
    for path in (*others, "cuda_lib/build"):
        assert not dockerfile.is_sent(path), path


@each
def test_the_whole_project_is_copied(dockerfile: Dockerfile) -> None:
    packages = {
        "agent": {"agent/fault_agent"},
        "runner": {"scenario_runner", "agent/fault_agent", "cuda_lib", "scenarios"},
    }
    assert packages[dockerfile.name] < set(dockerfile.sources())


@each
def test_the_base_is_pinned_and_new_enough(dockerfile: Dockerfile) -> None:
    (pinned,) = dockerfile.lines("ARG")
    version = re.fullmatch(r"BASE=python:(3\.\d+\.\d+)-slim-bookworm", pinned)
    assert version is not None
    assert version[1] in SpecifierSet(project(dockerfile.name)["requires-python"])
    assert dockerfile.lines("FROM") == ["${BASE} AS build", "${BASE}"]


@each
def test_the_entry_point_is_a_command_that_is_installed(dockerfile: Dockerfile) -> None:
    (entry,) = dockerfile.lines("ENTRYPOINT")
    (command,) = json.loads(entry)
    assert command in project(dockerfile.name)["scripts"]


@each
def test_the_label_is_the_version(dockerfile: Dockerfile) -> None:
    labels = dict(part.split("=", 1) for line in dockerfile.lines("LABEL") for part in shlex.split(line))
    assert labels["org.opencontainers.image.version"] == project(dockerfile.name)["version"]
    assert labels["org.opencontainers.image.title"] == project(dockerfile.name)["name"]
    assert labels["org.opencontainers.image.description"].rstrip(".") in {
        "Makes GPU nodes report XID errors through their kernel log, and takes them back",
        project("runner")["description"].rstrip("."),
    }


@each
def test_the_image_is_not_run_by_root(dockerfile: Dockerfile) -> None:
    assert dockerfile.lines("USER") == ["65532:65532"]


def test_the_user_of_the_image_is_the_one_of_the_chart() -> None:
    assert AGENT_DEFAULTS.container("gateway").security()["runAsUser"] == 65532


@each
def test_everything_is_installed_with_its_hash(dockerfile: Dockerfile) -> None:
    installs = [step.strip() for line in dockerfile.lines("RUN") for step in line.split("&&") if " install " in step]
    installs = [step for step in installs if step.startswith("pip")]
    assert len(installs) == 3
    *from_index, ours = installs
    assert all("--require-hashes -r" in step for step in from_index)
    assert "--no-deps wheels/*.whl" in ours


@pytest.mark.parametrize(
    ("name", "content"), tuple(image_requirements()), ids=lambda text: text.rpartition("/")[2][:20]
)
def test_the_pins_of_the_images_are_those_of_the_lock(name: str, content: str) -> None:
    assert (ROOT / name).read_text() == content
    pins = re.findall(r"^[a-z0-9-]+==", content, re.MULTILINE)
    assert pins
    assert content.count("--hash=sha256:") >= len(pins)
    locked = (ROOT / ".ci/requirements.txt").read_text()
    for line in re.findall(r"^[a-z0-9-]+==\S+", content, re.MULTILINE):
        assert f"\n{line} " in f"\n{locked}"


def test_an_image_has_what_its_project_depends_on_and_nothing_for_developers() -> None:
    pins = {name.rpartition("/")[2].partition(".")[0]: content for name, content in image_requirements()}
    assert {"fastapi", "uvicorn", "pydantic"} <= set(re.findall(r"^([a-z0-9-]+)==", pins["agent"], re.MULTILINE))
    runner = set(re.findall(r"^([a-z0-9-]+)==", pins["runner"], re.MULTILINE))
    assert {"click", "httpx", "kubernetes", "uvloop"} <= runner
    assert not {"pytest", "ruff", "mypy", "setuptools"} & runner


def test_the_runners_wheel_is_built_with_a_compiler_that_the_image_does_not_keep() -> None:
    text = DOCKERFILES[1].path.read_text()
    build, finished = text.split("\nFROM ")[1:]
    assert "gcc libc6-dev make" in build
    assert build.index("gcc") < build.index("pip wheel")
    assert "apt-get" not in finished
