"""The command line: options and help texts; what a command does is in `app`, imported when it is needed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from scenario_runner.app.place import Place

C = TypeVar("C", bound=Callable[..., Any])

PATHS = click.Path(path_type=Path)


def _variables(command: C) -> C:
    """The options that set variables of a scenario."""
    for option in (
        click.option("--vars-file", type=PATHS, multiple=True, help="YAML file with a mapping of variables."),
        click.option("--var", "variables", multiple=True, metavar="K=V", help="Set a variable: --var calm=3s."),
    ):
        command = option(command)
    return command


def _lab(command: C) -> C:
    """The options that choose a lab."""
    for option in (
        click.option("--lab-name", default="default", show_default=True, help="Which kept lab to use."),
        click.option(
            "--kernel-log",
            type=click.Choice(["file", "real", "auto"]),
            default="file",
            show_default=True,
            help="Where a lab that is started now writes faults: files, or this machine's real /dev/kmsg (root only, "
            "refused beside a real kubelet or NVIDIA driver). auto: real where that is allowed.",
        ),
        click.option(
            "--lab", "use_lab", is_flag=True, help="Run in the lab: the kept one if it is up, else a new one."
        ),
    ):
        command = option(command)
    return command


def _cluster(command: C) -> C:
    """The options that choose a real cluster."""
    for option in (
        click.option(
            "--reach",
            type=click.Choice(["auto", "direct", "api-proxy", "node-port", "load-balancer"]),
            default="auto",
            show_default=True,
            help="How requests get to a `service:` target. auto: straight inside the cluster, else through the API "
            "server's proxy.",
        ),
        click.option("--agent-ca", type=PATHS, metavar="FILE", help="Authority that signed the agents' certificate."),
        click.option("--agent-token-file", type=PATHS, metavar="FILE", help="Token of the fault agents."),
        click.option(
            "--agent",
            metavar="URL",
            help="The fault agents' gateway, or NAMESPACE/SERVICE of their Helm chart; else it is looked for in "
            "namespace scenario-runner.",
        ),
        click.option(
            "--kubeconfig", type=PATHS, metavar="FILE", help="Instead of those of KUBECONFIG, or ~/.kube/config."
        ),
        click.option("--context", metavar="NAME", help="The cluster. Not needed inside a pod: then it is the pod's."),
    ):
        command = option(command)
    return command


def _place(options: dict[str, Any]) -> "Place":
    """Take the options that say where out of all options."""
    from scenario_runner.app.place import AgentWish, Place

    agent = AgentWish(options.pop("agent"), options.pop("agent_token_file"), options.pop("agent_ca"))
    names = ("use_lab", "lab_name", "kernel_log", "context", "kubeconfig", "reach")
    return Place(agent=agent, **{name: options.pop(name) for name in names if name in options})


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
    Exit codes: 0 passed, 1 failed (the system under test is to blame), 2 bad scenario or usage,
    3 broken or refused (we are), 4 something is left to undo, 130 interrupted.
    """


@main.command()
@click.argument("paths", type=PATHS, nargs=-1, required=True, metavar="FILE|FOLDER...")
@_lab
@_cluster
@_variables
@click.option("--yes", is_flag=True, help="Do not ask before a real cluster is touched.")
@click.option("--tag", "tags", multiple=True, help="Only scenarios with this tag (any of several).")
@click.option("--skip-tag", "skip_tags", multiple=True, help="Not the scenarios with this tag.")
@click.option("--skip-unmet", is_flag=True, help="Skip scenarios whose `requires` the cluster does not meet; else 3.")
@click.option("--report-dir", type=PATHS, default=Path("reports"), show_default=True, help="Where runs write.")
@click.option("--junit", type=PATHS, help="Also write one JUnit file of all scenarios here.")
@click.option("--seed", type=int, help="Seed of `pick: random`; the report of a run names the one it had.")
def run(**options: Any) -> None:
    """Run scenarios one after the other: in a folder, its *.yaml files in order of their names."""
    from scenario_runner.app import running

    place = _place(options)
    _end(lambda: running.run(running.RunOptions(place=place, **options), click.echo))


@main.command()
@click.argument("paths", type=PATHS, nargs=-1, required=True, metavar="FILE|FOLDER...")
@_variables
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON, one object a line.")
def lint(paths: tuple[Path, ...], as_json: bool, **sources: Any) -> None:
    """Check scenario files without any cluster: everything that is wrong, with line and column."""
    from scenario_runner.app import files, looking

    def work() -> int:
        result = looking.lint(paths, files.Sources(**sources))
        click.echo(result.json_lines() if as_json else result.text())
        return result.exit_code

    _end(work)


@main.command()
@click.argument("path", type=PATHS, metavar="FILE")
@_lab
@_cluster
@_variables
@click.option("--seed", type=int, help="Seed of `pick: random`.")
def plan(**options: Any) -> None:
    """Show what a run would do: targets resolved, budgets, what will be changed. Nothing is touched."""
    from scenario_runner.app import looking

    place = _place(options)
    _end(lambda: looking.plan(looking.PlanOptions(place=place, **options)))


@main.command()
@click.argument("kind", required=False)
def steps(kind: str | None) -> None:
    """List the kinds of steps, or show one kind's page."""
    from scenario_runner.app import looking

    _end(lambda: looking.steps(kind))


@main.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors: `# yaml-language-server: $schema=...`."""
    from scenario_runner.app import looking

    _end(looking.schema)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="The whole table, with the evidence for each row.")
def xids(as_json: bool) -> None:
    """Show the table of NVIDIA XIDs: meaning, severity, what the platform is expected to do."""
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
@_lab
@_cluster
def recover(run_id: str | None, everything: bool, yes: bool, takeover: bool, **options: Any) -> None:
    """
    Take back what a run left that was killed. Without RUN: list such runs.

    With --context (or in a pod) also runs that were started elsewhere, as their cluster remembers.
    """
    from scenario_runner.app import recovery

    def agree(question: str) -> bool:
        return yes or click.confirm(question)

    wish = recovery.RecoverOptions(run_id, everything, takeover, _place(options))
    _end(lambda: recovery.recover(wish, agree, click.echo))


@main.group()
def cuda() -> None:
    """The library that makes CUDA calls fail, which `patch_cuda` puts into workloads."""


@cuda.command("build")
@click.option("--compiler", default="gcc", show_default=True, help="For other nodes: aarch64-linux-gnu-gcc.")
def cuda_build(compiler: str) -> None:
    """Build the library where this installation came without one, or for nodes of another kind."""
    from scenario_runner.app import cuda as app

    _end(lambda: app.build(compiler))


@main.group()
def lab() -> None:
    """Keep a lab: a small cluster of real processes on this machine, for drills without GPUs."""


@lab.command()
@_lab
@click.option("--json", "as_json", is_flag=True, help="What the lab is and where, as JSON.")
def up(use_lab: bool, lab_name: str, kernel_log: str, as_json: bool) -> None:
    """Start a lab that stays until `lab down`; prints its KUBECONFIG."""
    from scenario_runner.app import labs

    del use_lab
    _end(lambda: labs.up(lab_name, kernel_log, as_json=as_json))


@lab.command()
@click.option("--lab-name", default="default", show_default=True, help="Which kept lab.")
def down(lab_name: str) -> None:
    """End a kept lab and everything in it."""
    from scenario_runner.app import labs

    _end(lambda: labs.down(lab_name))


@lab.command()
@click.option("--lab-name", default="default", show_default=True, help="Which kept lab.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(lab_name: str, as_json: bool) -> None:
    """Say whether a lab is up, and what runs in it."""
    from scenario_runner.app import labs

    _end(lambda: labs.status(lab_name, as_json=as_json))
