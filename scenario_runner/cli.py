"""The command line: options and help texts; what a command does is in `app`, imported when it is needed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from scenario_runner.cli_options import (
    PATHS,
    cluster,
    json_output,
    kernel_log,
    kinds,
    lab_name,
    place_of,
    use_lab,
    variables,
)


def _end(work: Callable[[], Any]) -> NoReturn:
    """Print what `work` returns and end with 0, or with its exit code; our own errors are one sentence each."""
    from scenario_runner.errors import ScenarioRunnerError

    try:
        result = work()
    except ScenarioRunnerError as exc:
        click.echo(str(exc), err=True)
        sys.exit(exc.exit_code)
    if isinstance(result, str):
        click.echo(result)
        sys.exit(0)
    sys.exit(result)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="scenario-runner", prog_name="scenario-runner")
def main() -> None:
    """
    Fault drills for Kubernetes clusters that serve models from GPUs.

    A scenario is a YAML file: make a node report a GPU fault, keep requests flowing, assert how many succeed, wait
    until the platform has healed itself. Everything that was changed is taken back, whatever happens.

    \b
    First steps:
      scenario-runner steps                            what a scenario can do
      scenario-runner lint scenarios/                  is this file right?
      scenario-runner plan --lab FILE                  what exactly would happen
      scenario-runner run --lab FILE                   a drill in a cluster on this machine

    \b
    Exit codes:
      0    passed
      1    failed: the system under test is to blame
      2    the file or the command line is wrong; nothing was touched
      3    broken or refused: this program or its surroundings are to blame, or the run may not start
      4    something is left to undo: `scenario-runner recover`
      130  interrupted; everything was taken back
    """


@main.command()
@click.argument("paths", type=PATHS, nargs=-1, required=True, metavar="FILE|FOLDER...")
@use_lab("Run in the lab: the kept one if it is up, else a new one that ends with the run.")
@kernel_log
@lab_name
@cluster
@variables
@click.option("--yes", is_flag=True, help="Do not ask before a real cluster is touched.")
@click.option("--tag", "tags", multiple=True, help="Only scenarios with this tag (any of several).")
@click.option("--skip-tag", "skip_tags", multiple=True, help="Not the scenarios with this tag.")
@click.option(
    "--skip-unmet",
    is_flag=True,
    help="Skip scenarios whose `requires` the cluster does not meet, instead of ending with 3.",
)
@click.option("--report-dir", type=PATHS, default=Path("reports"), show_default=True, help="Where runs write.")
@click.option("--junit", type=PATHS, help="Also write one JUnit file of all scenarios here.")
@click.option("--seed", type=int, help="Seed of `pick: random`; the report of a run names the one it had.")
def run(**options: Any) -> None:
    """
    Run scenarios one after the other: in a folder, its *.yaml files in order of their names.

    What a scenario changed is taken back before the next one begins. Nothing more is run when something is left, or
    when the `health` of a scenario does not hold after it.

    \b
    Examples:
      scenario-runner run --lab scenarios/xid79-gpu-fell-off-bus.yaml
      scenario-runner run --context prod --yes --tag smoke --junit junit.xml scenarios/
    """
    from scenario_runner.app import running

    place = place_of(options)
    _end(lambda: running.run(running.RunOptions(place=place, **options), click.echo))


@main.command()
@click.argument("paths", type=PATHS, nargs=-1, required=True, metavar="FILE|FOLDER...")
@variables
@json_output("Problems as JSON, one object a line.")
def lint(paths: tuple[Path, ...], as_json: bool, **sources: Any) -> None:
    """
    Check scenario files without any cluster: everything that is wrong, with line and column.

    \b
    Example:
      scenario-runner lint --var calm=3s scenarios/ my.yaml
    """
    from scenario_runner.app import files, looking

    def work() -> int:
        result = looking.lint(paths, files.Sources(**sources))
        click.echo(result.json_lines() if as_json else result.text())
        return result.exit_code

    _end(work)


@main.command()
@click.argument("path", type=PATHS, metavar="FILE")
@use_lab("Plan for the lab: the kept one if it is up, else a new one that ends with the command.")
@kernel_log
@lab_name
@cluster
@variables
@click.option("--seed", type=int, help="Seed of `pick: random`.")
@json_output("The plan as JSON; times are in seconds.")
def plan(**options: Any) -> None:
    """
    Show what a run would do: targets resolved, budgets, what will be changed. Nothing is touched.

    \b
    Examples:
      scenario-runner plan --lab my.yaml
      scenario-runner plan --context prod --json my.yaml
    """
    from scenario_runner.app import looking

    place = place_of(options)
    _end(lambda: looking.plan(looking.PlanOptions(place=place, **options)))


@main.command()
@click.argument("kind", required=False, shell_complete=kinds)
@json_output("Kinds, fields, defaults and the words that may be written, as JSON.")
def steps(kind: str | None, as_json: bool) -> None:
    """
    List the kinds of steps, or show one kind's page.

    \b
    Examples:
      scenario-runner steps
      scenario-runner steps inject_xid
    """
    from scenario_runner.app import looking

    _end(lambda: looking.steps(kind, as_json=as_json))


@main.command()
def schema() -> None:
    """
    Print the JSON Schema of scenario files, for editors: `# yaml-language-server: $schema=...`.

    \b
    Example:
      scenario-runner schema > scenario.schema.json
    """
    from scenario_runner.app import looking

    _end(looking.schema)


@main.command()
@json_output("The whole table, with the evidence for each row.")
def xids(as_json: bool) -> None:
    """
    Show the table of NVIDIA XIDs: meaning, severity, what the platform is expected to do.

    \b
    Example:
      scenario-runner xids | grep reboot
    """
    from scenario_runner.app import looking

    _end(lambda: looking.xids(as_json=as_json))


@main.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--all", "everything", is_flag=True, help="Every run that left something.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--takeover",
    is_flag=True,
    help="Also of a run that still owns its targets in the cluster, once nobody was seen to renew that for 30 s.",
)
@json_output("One object a line for each run: what it left, or what came of taking that back.")
@use_lab("Also runs that the kept lab remembers.")
@lab_name
@cluster
def recover(run_id: str | None, everything: bool, yes: bool, takeover: bool, as_json: bool, **options: Any) -> None:
    """
    Take back what a run left that was killed. Without RUN: list such runs.

    With --context (or in a pod) also runs that were started elsewhere, as their cluster remembers.

    \b
    Examples:
      scenario-runner recover
      scenario-runner recover 20260301-101500-xid79-gpu-fell-off-bus-1a2b
      scenario-runner recover --all --yes --context prod
    """
    from scenario_runner.app import recovery

    talk = recovery.Talk(
        say=lambda text: click.echo(text, err=as_json),
        agree=lambda question: yes or click.confirm(question, err=as_json),
        emit=lambda row: click.echo(json.dumps(row)) if as_json else None,
    )
    wish = recovery.RecoverOptions(run_id, everything, takeover, place_of(options))
    _end(lambda: recovery.recover(wish, talk))


@main.group()
def cuda() -> None:
    """The library that makes CUDA calls fail, which `patch_cuda` puts into workloads."""


@cuda.command("build")
@click.option("--compiler", default="gcc", show_default=True, help="For other nodes: aarch64-linux-gnu-gcc.")
def cuda_build(compiler: str) -> None:
    """
    Build the library where this installation came without one, or for nodes of another kind.

    \b
    Example:
      scenario-runner cuda build --compiler aarch64-linux-gnu-gcc
    """
    from scenario_runner.app import cuda as app

    _end(lambda: app.build(compiler))


@main.group()
def lab() -> None:
    """Keep a lab: a small cluster of real processes on this machine, for drills without GPUs."""


@lab.command()
@kernel_log
@lab_name
@json_output("What the lab is and where, as JSON.")
def up(lab_name: str, kernel_log: str, as_json: bool) -> None:
    """
    Start a lab that stays until `lab down`; prints its KUBECONFIG.

    \b
    Example:
      eval "$(scenario-runner lab up)" && kubectl get nodes
    """
    from scenario_runner.app import labs

    _end(lambda: labs.up(lab_name, kernel_log, as_json=as_json))


@lab.command()
@lab_name
@json_output("Whether there was a lab, as JSON.")
def down(lab_name: str, as_json: bool) -> None:
    """End a kept lab and everything in it."""
    from scenario_runner.app import labs

    _end(lambda: labs.down(lab_name, as_json=as_json))


@lab.command()
@lab_name
@json_output("What the lab is and where, as JSON.")
def status(lab_name: str, as_json: bool) -> None:
    """
    Say whether a lab is up, and what runs in it.

    \b
    Example:
      scenario-runner lab status --json
    """
    from scenario_runner.app import labs

    _end(lambda: labs.status(lab_name, as_json=as_json))
