"""The rendered charts as Python values: objects, pods and containers, wherever they stand."""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fault_agent import options, recover_all
from tests.deploy.charts import GOLDEN, MANIFESTS

Json = Any

PROGRAMS: Mapping[str, Callable[[], argparse.ArgumentParser]] = {
    "fault_agent": options.parser,
    "fault_agent.recover_all": recover_all.parser,
}


@dataclass(frozen=True)
class Container:
    """One container and the pod it is in."""

    where: str
    raw: Json
    pod: Json

    @property
    def module(self) -> str:
        """What `python3 -m` runs there."""
        *python, module = self.raw["command"]
        assert python == ["python3", "-m"]
        return str(module)

    def options(self) -> argparse.Namespace:
        """The container's arguments as its program understands them; a wrong one ends the test."""
        return PROGRAMS[self.module]().parse_args([self._expanded(text) for text in self.raw["args"]])

    def security(self) -> Json:
        """The security context in force: the container's over the pod's."""
        return {**(self.pod.get("securityContext") or {}), **self.raw["securityContext"]}

    def _expanded(self, text: str) -> str:
        known = {one["name"] for one in self.raw.get("env", ())}
        assert set(re.findall(r"\$\((\w+)\)", text)) <= known
        return text.replace("$(NODE_NAME)", "gpu-1")


@dataclass(frozen=True)
class Documents:
    """All objects of one rendering; `name` says which."""

    name: str
    objects: tuple[Json, ...]

    def of_kind(self, kind: str) -> list[Json]:
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name_ends: str = "") -> Json:
        """The only object of this kind (whose name ends so)."""
        (found,) = [one for one in self.of_kind(kind) if one["metadata"]["name"].endswith(name_ends)]
        return found

    def pods(self) -> Iterator[tuple[str, Json]]:
        """Where it is, and the pod template's spec."""
        for one in self.objects:
            spec = (one.get("spec") or {}).get("jobTemplate", one).get("spec") or {}
            if "template" in spec:
                yield f"{one['kind']} {one['metadata']['name']}", spec["template"]["spec"]

    def containers(self) -> Iterator[Container]:
        for where, pod in self.pods():
            for raw in [*pod.get("initContainers", ()), *pod["containers"]]:
                yield Container(f"{where}: {raw['name']}", raw, pod)

    def container(self, name: str) -> Container:
        (found,) = [one for one in self.containers() if one.raw["name"] == name]
        return found


def _read(name: str, *paths: Path) -> Documents:
    objects = [one for path in paths for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    return Documents(name, tuple(objects))


AGENT_DEFAULTS = _read("defaults", GOLDEN / "agent-defaults.yaml")
AGENT_EVERYTHING = _read("everything", GOLDEN / "agent-everything.yaml")
AGENT_PLAIN = _read("plain", *sorted(MANIFESTS.glob("*.yaml")), MANIFESTS / "before-delete/recover.yaml")
AGENTS = (AGENT_DEFAULTS, AGENT_EVERYTHING, AGENT_PLAIN)
RUNNER_DEFAULTS = _read("runner defaults", GOLDEN / "runner-defaults.yaml")
RUNNER_EVERYTHING = _read("runner everything", GOLDEN / "runner-everything.yaml")
RUNNER_PLAIN = _read("plain runner", *sorted((MANIFESTS / "runner").glob("*.yaml")))
RUNNERS = (RUNNER_DEFAULTS, RUNNER_EVERYTHING, RUNNER_PLAIN)
