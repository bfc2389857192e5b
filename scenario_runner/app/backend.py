"""The cluster that a command acts on: a real one, a kept lab, or a lab that lives as long as the command."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.adapters.kubeconfig import IN_CLUSTER, Selection
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.adapters.service_ways import Entrance
from scenario_runner.app import clusters
from scenario_runner.app.agents import read_token
from scenario_runner.app.place import AgentWish, Place
from scenario_runner.core.ports import Agent
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Refused, WrongCommand
from scenario_runner.lab import lab
from scenario_runner.lab.kernel_log_guard import why_not_real
from scenario_runner.lab.lab import LabInfo, LabOptions
from scenario_runner.lab.options import KernelLogKind


@dataclass(frozen=True)
class Address:
    """How a later process finds the same cluster: what `run.json` keeps. Empty texts stand for what is found anew."""

    kubeconfig: str
    context: str = ""  # "" for a lab
    agent_url: str = ""
    token_file: str = ""
    agent_ca: str = ""


@dataclass(frozen=True)
class Backend:
    """A cluster in words, and the ways to it."""

    words: str
    address: Address
    cluster: KubernetesCluster
    agent: Agent
    identity: str
    entrance: Entrance | None = None  # for loads that go through the API server
    agents: str = ""  # where the fault agents were found, in words
    named: str = ""  # the options that name it on the command line: " --context NAME"

    @property
    def is_lab(self) -> bool:
        return not self.address.context


@contextmanager
def backend(place: Place) -> Iterator[Backend]:
    """
    A cluster by its context, or a lab: the kept one of that name if it is up, else one that ends with the `with` block.

    Raise WrongCommand where it is not said which cluster is meant, Refused where that one cannot be used.
    """
    if not place.use_lab:
        yield real(place)
        return
    if place.context is not None or place.kubeconfig is not None:
        raise WrongCommand("--lab and --context are two clusters: keep one")
    kept = lab.find(place.lab_name)
    if kept is not None:
        yield connect(kept)
        return
    name = f"run-{secrets.token_hex(3)}"  # several runs may have their own at the same time
    with lab.up(LabOptions(name=name, kernel_log=choose_kernel_log(place.kernel_log)), owned=True) as own:
        yield connect(own.info)


def real(place: Place) -> Backend:
    """A cluster that is not ours."""
    found = clusters.connect(place)
    return Backend(
        words=found.words,
        address=_address(found.selection, place.agent),
        cluster=found.cluster,
        agent=found.found.agent,
        identity=found.cluster.identity(),
        entrance=Entrance(found.cluster.rest),
        agents=found.found.words,
        named=f" --context {found.selection.context}",
    )


def again(card: RunCard) -> Backend:
    """The cluster of an earlier run. Raise Refused when another one stands in its place."""
    if not card.context:
        agent = HttpAgent(card.agent_url, read_token(Path(card.token_file)))
        cluster = KubernetesCluster(Path(card.kubeconfig))
        address = Address(card.kubeconfig, "", card.agent_url, card.token_file)
        return Backend(card.backend, address, cluster, agent, cluster.identity())
    found = real(clusters.place_of(card))
    if found.identity != card.identity:
        raise Refused(
            f"context {card.context} is another cluster by now: {found.identity}, the run's was {card.identity}"
        )
    return found


def _address(selection: Selection, wish: AgentWish) -> Address:
    inside = selection.context == IN_CLUSTER
    files = () if inside else selection.source.split(os.pathsep)
    return Address(
        kubeconfig=os.pathsep.join(str(Path(file).absolute()) for file in files),
        context=selection.context,
        agent_url=wish.url or "",
        token_file=_absolute(wish.token_file),
        agent_ca=_absolute(wish.authority),
    )


def _absolute(file: Path | None) -> str:
    return "" if file is None else str(file.absolute())


def choose_kernel_log(wish: str) -> KernelLogKind:
    """`auto` becomes `real` where that does no harm, else `file`."""
    if wish == "auto":
        return "file" if why_not_real() else "real"
    return "real" if wish == "real" else "file"


def connect(info: LabInfo) -> Backend:
    """A lab that is up."""
    words = f"lab {info.name} ({info.kernel_log} kernel log, platform {info.scale:g} times as fast)"
    if info.no_driver:
        words += f"; CUDA faults can not hit there: {info.no_driver.rstrip('.')}"
    agent = HttpAgent(info.gateway_url, read_token(Path(info.token_file)))
    cluster = KubernetesCluster(Path(info.kubeconfig))
    address = Address(str(info.kubeconfig), "", info.gateway_url, str(info.token_file))
    return Backend(words, address, cluster, agent, cluster.identity(), named=f" --lab --lab-name {info.name}")
