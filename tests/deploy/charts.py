"""
Renders the charts with the real helm: `python -m tests.deploy.charts --helm PATH` writes the golden files anew.

Manifests for people without helm are made from the same chart; what helm draws at random is written as `generated`.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
AGENT_CHART = ROOT / "agent/deploy/chart"
RUNNER_CHART = ROOT / "agent/deploy/runner"
GOLDEN = ROOT / "tests/deploy/golden"
MANIFESTS = ROOT / "agent/deploy/manifests"

GENERATED = "Z2VuZXJhdGVk"  # "generated" in base64
_GENERATED = re.compile(r"^(  (?:token|ca\.crt|tls\.crt|tls\.key): )[A-Za-z0-9+/=]{20,}$", re.MULTILINE)
_SOURCE = re.compile(r"^# Source: [^/]+/templates/(.+)$", re.MULTILINE)
_OF_HELM = re.compile(r"^ +(?:app\.kubernetes\.io/managed-by: Helm|helm\.sh/[a-z-]+: .*)\n", re.MULTILINE)
_EMPTY_ANNOTATIONS = re.compile(r"^  annotations:\n(?:    #.*\n)*(?=\S)", re.MULTILINE)
_HEAD = "# Made from the charts beside this folder by `python -m tests.deploy.charts`; do not edit.\n"


@dataclass(frozen=True)
class Rendering:
    """One call of `helm template`; `values` is a file in the golden folder."""

    name: str
    chart: Path
    release: str
    namespace: str
    values: str

    def text(self, helm: Path) -> str:
        """All documents, with what is random replaced."""
        command = [helm, "template", self.release, self.chart, "--namespace", self.namespace]
        # A helm that was built from its module alone takes itself for a very old one.
        command += ["--kube-version", "1.37.2"]
        command += ["--values", GOLDEN / self.values]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        return _GENERATED.sub(rf"\1{GENERATED}", done.stdout)


GOLDEN_CASES = (
    Rendering("agent-defaults", AGENT_CHART, "fault-agent", "scenario-runner", "agent-defaults.values.yaml"),
    Rendering("agent-everything", AGENT_CHART, "drills", "gpu-drills", "agent-everything.values.yaml"),
    Rendering("runner-defaults", RUNNER_CHART, "scenario-runner", "scenario-runner", "runner-defaults.values.yaml"),
    Rendering("runner-everything", RUNNER_CHART, "drills", "scenario-runner", "runner-everything.values.yaml"),
)
PLAIN = (
    Rendering("plain", AGENT_CHART, "fault-agent", "scenario-runner", "plain.values.yaml"),
    Rendering("plain-runner", RUNNER_CHART, "scenario-runner", "scenario-runner", "plain-runner.values.yaml"),
)
_PLAIN_FILES: Mapping[tuple[str, str], str] = {
    ("plain", "namespace.yaml"): "1-namespace.yaml",
    ("plain", "rbac.yaml"): "2-rbac.yaml",
    ("plain", "networkpolicy.yaml"): "3-networkpolicy.yaml",
    ("plain", "node.yaml"): "4-node.yaml",
    ("plain", "gateway.yaml"): "5-gateway.yaml",
    ("plain", "recover.yaml"): "before-delete/recover.yaml",
    ("plain-runner", "rbac.yaml"): "runner/1-rbac.yaml",
    ("plain-runner", "drills.yaml"): "runner/2-drills.yaml",
}


def rendered(helm: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file and its content."""
    for case in GOLDEN_CASES:
        yield GOLDEN / f"{case.name}.yaml", case.text(helm)
    for case in PLAIN:
        for source, documents in _by_source(case.text(helm)).items():
            yield MANIFESTS / _PLAIN_FILES[case.name, source], _HEAD + "".join(map(_without_helm, documents))


def _by_source(text: str) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        if source := _SOURCE.search(document):
            files.setdefault(source.group(1), []).append(_SOURCE.sub("", document).lstrip("\n"))
    return files


def _without_helm(document: str) -> str:
    return "---\n" + _EMPTY_ANNOTATIONS.sub("", _OF_HELM.sub("", document))


def main() -> int:
    """Write every generated file; says which have changed."""
    options = argparse.ArgumentParser(prog="python -m tests.deploy.charts")
    options.add_argument("--helm", type=Path, required=True)
    for path, content in rendered(options.parse_args().helm):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
