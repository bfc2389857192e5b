"""The way to a real cluster: its context, its agents, its services, and who it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from scenario_runner.adapters.kubeconfig import (
    IN_CLUSTER,
    SERVICE_ACCOUNT,
    Selection,
    context_names,
    in_cluster,
    kubeconfig_files,
    select,
)
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.adapters.service_ways import Wish
from scenario_runner.app.agents import FoundAgent, find_agent
from scenario_runner.app.place import AgentWish, Place
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable, WrongCommand

WAYS = ("auto", *get_args(Wish))


@dataclass(frozen=True)
class RealCluster:
    """A cluster that is connected to."""

    words: str
    selection: Selection
    cluster: KubernetesCluster
    found: FoundAgent


def choose_context(place: Place, environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Selection:
    """`--context`, or the pod that we run in. Raise WrongCommand, naming the contexts that there are."""
    if place.context == IN_CLUSTER or (place.context is None and place.kubeconfig is None):
        own = in_cluster(environment, folder)
        if own is not None:
            return own
    if place.context is not None:
        return select(kubeconfig_files(place.kubeconfig, environment), place.context)
    raise WrongCommand(
        f"say which cluster is meant: --lab for one on this machine, or --context NAME{_known(place, environment)}"
    )


def _known(place: Place, environment: Mapping[str, str]) -> str:
    try:
        names = context_names(kubeconfig_files(place.kubeconfig, environment))
    except Refused:
        return ""
    return f" ({', '.join(names)})" if names else ""


def connect(place: Place, environment: Mapping[str, str] = os.environ) -> RealCluster:
    """Raise Refused for what can never work; the API server is asked for the first time here."""
    selection = choose_context(place, environment)
    inside = selection.context == IN_CLUSTER
    try:
        cluster = KubernetesCluster(selection, reach=way_to_services(place.reach, inside=inside))
    except TargetUnreachable as error:
        raise Refused(str(error)) from error
    _ask_who_it_is(cluster)
    found = find_agent(cluster, place.agent, inside=inside)
    where = "the cluster of this pod" if inside else f"cluster {selection.context}"
    return RealCluster(f"{where} at {selection.address}", selection, cluster, found)


def _ask_who_it_is(cluster: KubernetesCluster) -> None:
    """The first question: what is wrong with the way there is told before anything else is."""
    try:
        cluster.identity()
    except TargetRefused as refusal:
        if refusal.code != "Forbidden":
            raise
        raise Refused(
            "we may not get namespaces kube-system, by which clusters are told apart: the ClusterRole scenario-runner "
            "(Helm chart agent/deploy/runner) grants it"
        ) from refusal


def way_to_services(wish: str, *, inside: bool) -> Wish:
    """
    `auto` is straight to a Service's address inside the cluster, and the API server's proxy outside.

    An address of the cluster may belong to somebody else on this machine's network, so it is never simply tried.
    """
    if wish == "auto":
        return "direct" if inside else "api-proxy"
    return next(one for one in get_args(Wish) if one == wish)


def place_of(card: RunCard) -> Place:
    """Where the run of a card acted."""
    kubeconfig = Path(card.kubeconfig) if card.kubeconfig else None
    wish = AgentWish(card.agent_url or None, _path(card.token_file), _path(card.agent_ca))
    return Place(context=card.context, kubeconfig=kubeconfig, agent=wish)


def _path(text: str) -> Path | None:
    return Path(text) if text else None
