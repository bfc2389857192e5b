"""The commands of the README: charts and files exist, objects are called as they say, options are options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
import yaml

from scenario_runner.cli import main
from tests.deploy.charts import ROOT
from tests.deploy.documents import AGENT_DEFAULTS, RUNNER_DEFAULTS

TEXT = (ROOT / "agent/deploy/README.md").read_text(encoding="utf-8")
NAMES = {
    (one["kind"].lower(), one["metadata"]["name"])
    for documents in (AGENT_DEFAULTS, RUNNER_DEFAULTS)
    for one in documents.objects
}


def commands() -> list[list[str]]:
    """Every command, in blocks and in lines of text."""
    blocks = re.findall(r"^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    outside = re.sub(r"^```\n.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside)]
    return [shlex.split(line) for line in lines if line.startswith(("helm ", "kubectl ", "scenario-runner "))]


def of(program: str) -> list[list[str]]:
    return [words[1:] for words in commands() if words[0] == program]


def test_the_commands_to_a_first_drill_are_those_of_the_main_readme() -> None:
    """Which the tests of the real cluster carry out."""
    chapter = TEXT[TEXT.index("## From nothing to a drill") : TEXT.index("## What the agents may do")]
    blocks = re.findall(r"^```\n.*?^```", chapter, re.MULTILINE | re.DOTALL)
    assert [block.splitlines()[1].split()[:3] for block in blocks] == [
        ["kubectl", "create", "namespace"], ["kubectl", "label", "node"]
    ]  # fmt: skip
    main_readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [block for block in blocks if block not in main_readme] == []


def test_charts_that_are_installed_exist() -> None:
    charts = [words[2] for words in of("helm") if words[0] == "install"]
    assert charts == ["agent/deploy/chart", "agent/deploy/runner"]
    for words in of("helm"):
        if words[0] == "install":
            chart = yaml.safe_load((ROOT / words[2] / "Chart.yaml").read_text())
            assert words[1] == chart["name"], "the names in this README are those of a release named after its chart"


def objects() -> Iterator[tuple[str, str]]:
    for words in of("kubectl"):
        for word in words:
            if found := re.fullmatch(r"(?:--from=)?(daemonset|deployment|job|cronjob|service)/([a-z0-9-]+)", word):
                yield found.group(1), found.group(2)


def test_objects_are_called_as_the_commands_call_them() -> None:
    named = set(objects())
    assert {("daemonset", "fault-agent-node"), ("deployment", "fault-agent-gateway")} <= named
    made_here = {("job", "drill-1")}
    assert named - made_here <= NAMES


def test_files_that_are_applied_exist() -> None:
    paths = [words[words.index("-f") + 1] for words in of("kubectl") if "apply" in words]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_secrets_that_are_created_are_those_of_the_plain_manifests() -> None:
    created = [words[words.index("generic") + 1] for words in of("kubectl") if "generic" in words]
    assert created == ["fault-agent-token", "fault-agent-tls"]


@pytest.mark.parametrize("words", [words for words in of("scenario-runner") if len(words) > 1], ids=" ".join)
def test_the_runner_has_the_options(words: list[str]) -> None:
    command = main.commands[words[0]]
    chosen = command.make_context(words[0], words[1:]).params
    for path in (PurePosixPath(str(path)) for path in chosen["paths"]):
        assert (ROOT / path).is_file()
