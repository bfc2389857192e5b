"""The pods of a workload as the run's watches saw them last."""

from collections.abc import Sequence
from dataclasses import dataclass

from scenario_runner.core.observations import Observation, ObservationLog
from scenario_runner.core.selectors import matches
from scenario_runner.core.targets import WorkloadTarget


@dataclass(frozen=True)
class PodSighting:
    """One pod; `name` is "namespace/name"."""

    name: str
    node: str
    ready: bool
    phase: str
    waiting: str
    restarts: int


def pods_of(log: ObservationLog, target: WorkloadTarget) -> list[PodSighting]:
    """Those that exist and are not being deleted, by name."""
    found = []
    for name in log.names("pod"):
        facts = log.facts("pod", name)
        if _belongs(name, facts, target) and not facts.get("gone") and facts.get("deleting") != "true":
            ready, restarts = facts.get("ready") == "true", int(facts.get("restarts", "0"))
            sight = PodSighting(
                name, facts.get("node", ""), ready, facts.get("phase", ""), facts.get("waiting", ""), restarts
            )
            found.append(sight)
    return found


def crashes(log: ObservationLog, target: WorkloadTarget, since: float) -> dict[str, Observation]:
    """
    The first crash of each pod since then: a container that died, a restart, a failed phase, or CrashLoopBackOff.

    A pod that was told to go fails with the code of its signal, which is no crash. A drain may be quicker than the
    kubelet, so that what was before is seen after it: a restart, or that a container had died by itself.
    """
    found: dict[str, Observation] = {}
    leaving: set[str] = set()
    for seen in log.select("pod"):
        if (seen.fact, seen.value) == ("deleting", "true"):
            leaving.add(seen.name)
        goes = seen.name in leaving and seen.fact not in {"restarts", "died"}
        crashed = not seen.initial and _is_crash(seen) and not goes
        if crashed and seen.at >= since and _ever_belonged(log, seen.name, target):
            found.setdefault(seen.name, seen)
    return found


def node_of_pod(log: ObservationLog, name: str) -> str:
    """Where a pod is or, if it is gone, was; "" when it never was anywhere."""
    return next((seen.value for seen in reversed(log.select("pod", name, "node")) if seen.value), "")


def pods_ever(log: ObservationLog, target: WorkloadTarget) -> set[str]:
    """Names of all pods that the run ever saw of a workload, also of those that are gone."""
    return {name for name in log.names("pod") if _ever_belonged(log, name, target)}


def _is_crash(seen: Observation) -> bool:
    if seen.fact == "restarts":
        return int(seen.value or 0) > int(seen.was or 0)
    return (seen.fact, seen.value) in {("died", "true"), ("phase", "Failed"), ("waiting", "CrashLoopBackOff")}


def _belongs(name: str, facts: dict[str, str], target: WorkloadTarget) -> bool:
    labels = {key.partition("/")[2]: value for key, value in facts.items() if key.startswith("label/")}
    return name.startswith(f"{target.namespace}/") and matches(target.selector, labels)


def _ever_belonged(log: ObservationLog, name: str, target: WorkloadTarget) -> bool:
    """Also for a pod that is gone by now, whose labels have gone with it."""
    labels = {seen.fact: seen.value for seen in log.select("pod", name) if seen.value}
    return _belongs(name, labels, target)


def described(pods: Sequence[PodSighting]) -> str:
    """ "a on gpu-1 not ready (CrashLoopBackOff), b on gpu-2 ready"; "none"."""
    return ", ".join(map(_described, pods)) or "none"


def _described(pod: PodSighting) -> str:
    reason = f" ({pod.waiting or pod.phase})" if not pod.ready and (pod.waiting or pod.phase != "Running") else ""
    return f"{pod.name.partition('/')[2]} on {pod.node or 'no node'} {'ready' if pod.ready else 'not ready'}{reason}"
