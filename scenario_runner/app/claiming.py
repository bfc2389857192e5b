"""A run's claim, on this machine and in the cluster, from before its first change until after its last undo."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from scenario_runner.adapters.kubernetes_claim import KubernetesClaimStore
from scenario_runner.app.backend import Backend
from scenario_runner.app.files import state_folder
from scenario_runner.core.clock import Clock, Stop, StopKind, StopReason
from scenario_runner.core.plan import Plan
from scenario_runner.core.targets import GpuTarget, NodesTarget, NodeTarget, PodTarget, Target, WorkloadTarget
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import claim, cluster_claim, leases
from scenario_runner.engine.beats import ThreadBeats
from scenario_runner.engine.claim import Claim, ClusterClaim
from scenario_runner.engine.cluster_claim import ClusterHold
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.run_card import RunCard, Scope
from scenario_runner.engine.signals import LeftAtOnce, Signals, supervise

T = TypeVar("T")


@dataclass(frozen=True)
class Claimed:
    """What a living run owns."""

    journal: Journal
    cluster: ClusterClaim
    own: Callable[[NodeTarget], None]  # claims one more node; raises Refused when another run has it


@dataclass(frozen=True)
class Waiting:
    """Who may end the wait for Leases that may be dead; the clock of `seat` ends with `stop`."""

    signals: Signals
    stop: Stop
    seat: Seat

    def supervised(self, work: Callable[[], T]) -> T:
        return supervise(self.signals, self.stop, work)


def seat_in(where: Backend, clock: Clock, say: Callable[[str], None]) -> Seat:
    """Where runs from several machines meet; waiting there ends with `clock`, and `say` is told of it."""
    store = KubernetesClaimStore(where.cluster.rest, clock)
    return Seat(store, clock, UNDOS, platform.node(), where.named, boot=_boot_id(), say=say)


def _boot_id() -> str:
    """The same for all processes of this machine until it boots again; "" where there is none (other than Linux)."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def refuse_orphans(identity: str, waiting: Waiting) -> None:
    """Raise Orphaned while a dead run has something left, whether this machine knows of it or only the cluster."""
    dead = claim.refuse_orphans(state_folder(), identity, UNDOS)
    waiting.supervised(lambda: leases.refuse_orphans(replace(waiting.seat, dead=dead)))


@contextmanager
def claimed(run_dir: Path, card: RunCard, waiting: Waiting) -> Iterator[Claimed]:
    """Own the card's targets; the run is stopped when they pass to somebody else. Raise Refused or Orphaned."""
    local = claim.take(state_folder(), run_dir, card, UNDOS)
    try:
        hold = waiting.supervised(lambda: cluster_claim.take(waiting.seat, card))
    except BaseException:
        local.abandon()
        raise
    hold.on_lost = lambda why: waiting.stop.trip(StopReason(StopKind.BROKEN, why))
    end = ThreadBeats().every(hold.every, hold.renew, "lease")
    at_once = False
    try:
        yield Claimed(local.journal, hold, Widening(card, local, hold))
    except LeftAtOnce:
        at_once = True  # whoever insists on leaving waits for no API server: the Leases grow stale, the promises stay
        raise
    finally:
        end()
        if not at_once:
            hold.release(local.journal.promises)
        local.release(claims_stay=at_once)


class Widening:
    """Claims nodes that turn out to be needed while the run lives."""

    def __init__(self, card: RunCard, local: Claim, hold: ClusterHold) -> None:
        self._card = card
        self._local = local
        self._hold = hold

    def __call__(self, node: NodeTarget) -> None:
        if node.name in self._card.targets:
            return
        wider = self._card.with_node(node.name, node.uid)
        self._local.widen(wider, node.name, lambda: self._hold.widen(wider, node.name))
        self._card = wider


def scope_of(plan: Plan) -> Scope:
    """What a recovery of this plan may act on."""
    found = [pair for target in plan.targets.values() for pair in _named(target)]
    namespaces = {plan.namespace, *(namespace for namespace, _ in found if namespace)}
    return Scope(tuple(sorted(namespaces)), tuple(sorted({uid for _, uid in found})))


def _named(target: Target) -> list[tuple[str, str]]:
    """Namespace and uid of the objects that a target stands for."""
    if isinstance(target, WorkloadTarget | PodTarget):
        return [(target.namespace, target.uid)]
    if isinstance(target, GpuTarget):
        return [("", target.node.uid)]
    if isinstance(target, NodeTarget):
        return [("", target.uid)]
    return [("", node.uid) for node in target.nodes] if isinstance(target, NodesTarget) else []
