"""The options that several commands have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from scenario_runner.app.place import Place

C = TypeVar("C", bound=Callable[..., Any])

PATHS = click.Path(path_type=Path)


def variables(command: C) -> C:
    """The options that set variables of a scenario."""
    for option in (
        click.option("--vars-file", type=PATHS, multiple=True, help="YAML file with a mapping of variables."),
        click.option("--var", "variables", multiple=True, metavar="K=V", help="Set a variable: --var calm=3s."),
    ):
        command = option(command)
    return command


def use_lab(text: str) -> Callable[[C], C]:
    return click.option("--lab", "use_lab", is_flag=True, help=text)


def lab_name(command: C) -> C:
    return click.option("--lab-name", default="default", show_default=True, help="Which kept lab.")(command)


def kernel_log(command: C) -> C:
    return click.option(
        "--kernel-log",
        type=click.Choice(["file", "real", "auto"]),
        default="file",
        show_default=True,
        help="Where a lab that is started now writes faults: files, or this machine's real /dev/kmsg (root only, "
        "refused beside a real kubelet or NVIDIA driver). auto: real where that is allowed.",
    )(command)


def json_output(text: str) -> Callable[[C], C]:
    return click.option("--json", "as_json", is_flag=True, help=text)


def cluster(command: C) -> C:
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


def kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The kinds of steps that a shell offers."""
    from scenario_runner.steps import STEPS

    del context, parameter
    return [kind for kind in sorted(STEPS) if kind.startswith(incomplete)]


def place_of(options: dict[str, Any]) -> "Place":
    """Take the options that say where out of all options."""
    from scenario_runner.app.place import AgentWish, Place

    agent = AgentWish(options.pop("agent"), options.pop("agent_token_file"), options.pop("agent_ca"))
    names = ("use_lab", "lab_name", "kernel_log", "context", "kubeconfig", "reach")
    return Place(agent=agent, **{name: options.pop(name) for name in names if name in options})
