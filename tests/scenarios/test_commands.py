"""The commands that need no cluster, and what is refused before one is looked at."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from scenario_runner.app.files import Sources, read
from scenario_runner.app.refusal import refusal
from scenario_runner.app.running import worst
from scenario_runner.cli import main
from scenario_runner.errors import ExitCode
from scenario_runner.reporters import junit
from scenario_runner.steps import STEPS
from tests.contract.clusters import write_kubeconfig
from tests.scenarios.drill import ROOT

GOOD = ROOT / "scenarios" / "control-no-fault.yaml"


def call(*arguments, environment=None):
    return CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments])


def test_lint_finds_nothing_wrong_with_the_shipped_scenarios():
    result = call("lint", ROOT / "scenarios")
    count = len([*(ROOT / "scenarios").glob("*.yaml")])
    assert (result.exit_code, result.stdout) == (0, f"{count} files: 0 errors, 0 warnings\n")


def test_lint_says_everything_that_is_wrong_at_once_with_line_and_column(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "version: 1\nname: bad\ntargets: {victim: {node: gpu-1}}\nsteps:\n"
        "- inject_xid: {target: victim, xdi: 79}\n- wait_for_nod: {target: victim, reached: cordoned}\n"
    )
    result = call("lint", bad)
    assert (result.exit_code, result.stdout) == (
        2,
        f"{bad}:5:15: steps[0].inject_xid.xid: is missing: the XID, e.g. 79 (GPU has fallen off the bus)\n"
        f"{bad}:5:32: steps[0].inject_xid.xdi: unknown key: did you mean xid?\n"
        f"{bad}:6:3: steps[1]: unknown kind 'wait_for_nod': did you mean wait_for_node?\n"
        "1 file: 3 errors, 0 warnings\n",
    )


def test_one_mistake_is_one_error(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\ncontrol: true\nsteps: [pause: 5s]\n")
    assert call("lint", bad).stdout == (
        f"{bad}:1:1: version: is missing: write `version: 1`: the version of this file format\n"
        "1 file: 1 error, 0 warnings\n"
    )


def test_lint_tells_machines_the_same_as_json(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nname: bad\nsteps: []\n")
    rows = [json.loads(line) for line in call("lint", "--json", bad).stdout.splitlines()]
    assert [(row["severity"], row["file"], row["path"]) for row in rows] == [("error", str(bad), "steps")]


def test_a_path_that_is_not_there_is_said_before_anything_else():
    result = call("run", "--lab", "/nowhere/drill.yaml")
    assert (result.exit_code, result.stderr) == (
        2, "/nowhere/drill.yaml:1:1: there is no such file or folder\n",
    )  # fmt: skip


def test_a_run_that_does_not_say_which_cluster_is_meant_is_refused_with_one_sentence(tmp_path):
    result = call("run", GOOD, environment={"HOME": str(tmp_path), "KUBECONFIG": ""})
    assert (result.exit_code, result.stderr) == (
        2, "say which cluster is meant: --lab for one on this machine, or --context NAME\n",
    )  # fmt: skip


def test_a_run_that_does_not_say_which_cluster_is_meant_is_told_the_contexts_that_there_are(tmp_path):
    kubeconfig = write_kubeconfig(tmp_path, "http://127.0.0.1:1")
    for command in ("run", "plan"):
        result = call(command, GOOD, environment={"KUBECONFIG": str(kubeconfig)})
        assert (result.exit_code, result.stderr) == (
            2, "say which cluster is meant: --lab for one on this machine, or --context NAME (it)\n",
        )  # fmt: skip


def test_a_lab_and_a_context_are_two_clusters():
    result = call("run", "--lab", "--context", "it", GOOD)
    assert (result.exit_code, result.stderr) == (2, "--lab and --context are two clusters: keep one\n")


def test_tags_that_no_scenario_has_are_no_green_run():
    result = call("run", "--lab", "--tag", "nosuch", GOOD)
    assert (result.exit_code, result.stderr) == (2, "no scenario has the tags that were asked for: nothing was run\n")


def test_a_variable_that_is_no_pair_is_told():
    result = call("run", "--lab", "--var", "calm", GOOD)
    assert (result.exit_code, result.stderr) == (2, "--var:1:1: 'calm' is not of the form name=value\n")


def test_the_schema_command_prints_what_accepts_the_shipped_scenarios():
    schema = json.loads(call("schema").stdout)
    for path in sorted((ROOT / "scenarios").glob("*.yaml")):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_each_kind_of_step_has_a_page():
    kinds = [line.split()[0] for line in call("steps").stdout.splitlines()]
    assert "inject_xid" in kinds
    for kind in kinds:
        assert call("steps", kind).stdout.startswith(f"## `{kind}`\n")


def test_the_page_of_a_kind_says_all_that_may_be_written():
    assert call("steps", "wait_for_sentinel").stdout == PAGE


PAGE = """\
## `wait_for_sentinel`

Wait for a state of NVSentinel, the platform that heals nodes, as its label on the node shows it.

`reached` counts any time since the newest fault, and a later state of the way to success as well; `healed` means
that the label was there and is gone. A repair that has failed ends the wait for its success at once.

```yaml
wait_for_sentinel: {target: victim, reached: remediation-succeeded}
timeout: 10m
```

| field | needed | meaning |
| --- | --- | --- |
| `target` | yes | The node(s), or a GPU's node. |
| `reached` | no | A state seen at any time since the newest fault. |
| `never` | no | A state not seen since the newest fault, nor within `for`. |
| `for` | no | How long it must not come. |
| `since` | no | Id of the `inject_xid` since which history counts, instead of the newest. |

Words for `reached`, `never`: `quarantined`, `draining`, `drain-succeeded`, `drain-failed`, `remediating`,
`remediation-succeeded`, `remediation-failed`, `healed`.

Beside it may stand `id`, `name`, `when`, `continue_on_failure`, `timeout`, `retry`.

"""


def test_machines_are_told_about_kinds_as_json():
    every = json.loads(call("steps", "--json").stdout)
    assert [one["kind"] for one in every] == sorted(STEPS)
    one = json.loads(call("steps", "--json", "collect").stdout)
    assert one == next(other for other in every if other["kind"] == "collect")
    assert one["fields"] == [
        {"name": "target", "required": True, "default": None, "words": [], "meaning": "What it is about."},
        {
            "name": "what",
            "required": False,
            "default": "[objects, logs, events, faults]",
            "words": ["objects", "logs", "events", "faults"],
            "meaning": "Which evidence.",
        },
    ]


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_every_default_on_a_page_may_be_written_in_a_scenario(tmp_path, kind):
    fields = json.loads(call("steps", "--json", kind).stdout)["fields"]
    given = ", ".join(f"{one['name']}: {one['default']}" for one in fields if one["default"] is not None)
    file = tmp_path / "x.yaml"
    file.write_text(f"version: 1\nname: x\nsteps:\n- {kind}: {{{given}}}\n")
    wrong = [json.loads(line) for line in call("lint", "--json", file).stdout.splitlines()]
    assert [one["text"] for one in wrong if one["line"] == 4 and "is missing" not in one["text"]] == []


def test_a_shell_completes_the_kinds_of_steps():
    words = {
        "_SCENARIO_RUNNER_COMPLETE": "bash_complete",
        "COMP_WORDS": "scenario-runner steps wait_for_n",
        "COMP_CWORD": "2",
    }
    script = Path(sys.executable).with_name("scenario-runner")
    done = subprocess.run([script], env=os.environ | words, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,wait_for_node\n"


@pytest.mark.parametrize(
    "command", ["run", "lint", "plan", "steps", "schema", "xids", "recover", "cuda build", "lab up"]
)
def test_the_help_of_a_command_has_an_example(command):
    text = call(*command.split(), "--help").stdout
    assert re.search(rf"^  Examples?:\n    .*scenario-runner {command}", text, re.MULTILINE)


def test_the_readme_names_every_option():
    told = (ROOT / "README.md").read_text()
    groups = [main, *(one for one in main.commands.values() if isinstance(one, click.Group))]
    commands = [one for group in groups for one in group.commands.values()]
    options = {
        option for one in commands for parameter in one.params for option in parameter.opts if option[:2] == "--"
    }
    assert sorted(option for option in options if option not in told) == []


def test_lab_commands_offer_only_what_they_do():
    offered = {
        "lab up": ["--json", "--kernel-log", "--lab-name"],
        "lab down": ["--json", "--lab-name"],
        "lab status": ["--json", "--lab-name"],
    }
    for command, options in offered.items():
        text = call(*command.split(), "--help").stdout
        assert sorted(set(re.findall(r"--[a-z-]+", text)) - {"--help"}) == options


def test_a_lab_that_is_not_up_is_down_already():
    assert json.loads(call("lab", "down", "--lab-name", "nosuch", "--json").stdout) == {
        "name": "nosuch", "was_up": False,
    }  # fmt: skip


def test_an_unknown_kind_of_step_names_those_that_exist():
    result = call("steps", "explode")
    assert result.exit_code == 2
    assert result.stderr == f"there is no kind of step 'explode'; there are: {', '.join(sorted(STEPS))}\n"


def test_the_table_of_xids_tells_what_79_does_to_a_node():
    row = next(line for line in call("xids").stdout.splitlines() if line.startswith(" 79"))
    assert row.split("  ")[1:3] == ["critical", "cordon, drain, reboot"]


def test_help_comes_without_the_heavy_libraries():
    heavy = {"pydantic", "yaml", "httpx", "kubernetes"}
    code = f"import sys; import scenario_runner.cli; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((0, 0), 0), ((0, 1), 1), ((1, 3), 3), ((3, 130), 130), ((130, 4), 4), ((0, 2), 2), ((), 3)],
)
def test_the_worst_exit_code_of_several_scenarios_wins_and_none_at_all_is_not_green(codes, expected):
    assert worst([ExitCode(code) for code in codes]) == expected


def test_a_scenario_that_was_refused_is_an_error_in_the_pipelines_file():
    scenario = read([GOOD], Sources())[0]
    text = junit.render([refusal(scenario, "the node is ill", "lab x")])
    assert '<error type="begin" message="the node is ill">' in text
