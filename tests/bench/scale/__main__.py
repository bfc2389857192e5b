"""
`make bench-scale`: what a drill costs in a cluster of 10, 100 and 1,000 nodes, with 10 pods on each.

One real control plane, three real nodes with agents, platform and service, and filler nodes by kwok that the drill has
nothing to do with: whatever grows with them is a defect. Times and memory never make it fail; too many API calls, which
are the same on every machine, do, and so does a drill that did not pass. (On a machine that has other things to do a
load may come too late, so each is tried again.)
Everything that it starts is gone at the end, also after Ctrl-C.
"""

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.labs import MIB
from tests.bench.rows import Row, below, render
from tests.bench.scale.audit import Audit, Request, most_asked_list
from tests.bench.scale.fleet import PODS_EACH, Fleet
from tests.bench.scale.scene import USER, Ended, Scene, scene
from tests.e2e import ending, starting
from tests.e2e.cluster import Cluster
from tests.e2e.control_plane import CONTROLLERS
from tests.e2e.place import Place, Trouble

SIZES = (10, 100, 1000)
PLANS = 3
DRILLS = 3  # tries
_NAME = "scale"
_PLAN, _MEMORY = 3.0, 300.0  # seconds, MiB
# Times that the same list may be asked for: a plan and the second choice of its victim look at the workload's pods a
# few times each. What is polled, twice a second or even once in five, comes out far above it.
_LISTS = 12
_CALLS = 400  # of one drill, of any size of cluster
_GROWTH = 1.5  # from the smallest to the largest cluster
# Filler nodes renew their leases as real ones do, which is too seldom for the tests' impatience.
_PATIENT = "--node-monitor-grace-period=60s"


@dataclass(frozen=True)
class Measured:
    """One size of cluster."""

    nodes: int
    plan: float
    drill: Ended
    requests: tuple[Request, ...]


def main(arguments: Sequence[str]) -> int:
    """Sizes as arguments; those that are wanted unless told otherwise."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the former is ignored by what a script starts with `&`
        signal.signal(number, signal.default_int_handler)
    sizes = tuple(map(int, arguments)) or SIZES
    begun = time.perf_counter()
    try:
        found = _measure(sizes, _since(begun))
    except (Trouble, RuntimeError) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is left of the cluster", file=sys.stderr)
        return 130
    print(report(found))
    print(
        f"measured on {os.cpu_count()} processors, load {os.getloadavg()[1]:.1f}; {time.perf_counter() - begun:.0f} s"
    )
    wrong = failures(found)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


def _since(begun: float) -> Callable[[str], None]:
    return lambda text: print(f"{time.perf_counter() - begun:6.1f}s {text}", file=sys.stderr, flush=True)


def _measure(sizes: Sequence[int], say: Callable[[str], None]) -> list[Measured]:
    place = Place(_NAME)
    if ending.is_orphaned(place):
        ending.down(place)
    with tempfile.TemporaryDirectory() as folder:
        cluster = starting.up(_NAME, kept=False, say=say)
        try:
            with scene(cluster, Path(folder)) as prepared:
                audit = _prepare(cluster)
                fleet = Fleet(cluster)
                fleet.begin()
                return [_one(size, fleet, prepared, audit, say) for size in sorted(sizes)]
        finally:
            ending.down(place)
            say("nothing is left of the cluster")


def _prepare(cluster: Cluster) -> Audit:
    cluster.control_plane.kill(CONTROLLERS)
    audit = Audit(cluster, USER)
    cluster.control_plane.start(CONTROLLERS, _PATIENT)
    return audit


def _one(size: int, fleet: Fleet, prepared: Scene, audit: Audit, say: Callable[[str], None]) -> Measured:
    fleet.grow(size, say)
    prepared.wait()
    plans = [_planned(prepared.plan()) for _ in range(PLANS)]
    say(f"plans took {', '.join(f'{one.seconds:.2f}' for one in plans)} s")
    for _ in range(DRILLS):
        begin = audit.end
        drill = prepared.drill()
        requests = audit.since(begin)
        say(f"a drill took {drill.seconds:.0f} s and ended with {drill.code}")
        prepared.wait()
        if drill.code == 0:
            break
        say("\n".join(drill.words.splitlines()[-4:]))
    return Measured(size, median(one.seconds for one in plans), drill, requests)


def _planned(ended: Ended) -> Ended:
    if ended.code != 0:
        raise RuntimeError(f"the plan ended with {ended.code} and said:\n{ended.words}")
    return ended


def report(found: Sequence[Measured]) -> str:
    """The figures and their limits, the growth, and every kind of request."""
    rows = [row for one in found for row in _rows(one)]
    if len(found) > 1:
        rows += _growth(found[0], found[-1])
    return f"{render(rows)}\n\n{_requests(found)}"


def _rows(one: Measured) -> list[Row]:
    where = f"{one.nodes} nodes, {one.nodes * PODS_EACH} pods"
    asked, often = most_asked_list(one.requests)
    own = _own(one)
    failed = f"; NOT PASSED ({one.drill.code})" if one.drill.code else ""
    remark = f"in {one.drill.seconds:.0f} s, without load{failed}"
    heaviest = one.drill.heaviest
    return [
        below(f"{where}: plan, whole command", one.plan, _PLAN, remark=f"{PLANS} plans"),
        below(f"{where}: memory of the runner, peak RSS", one.drill.peak / MIB, _MEMORY, "MiB", "its process alone"),
        below(
            f"{where}: memory of the runner, most PSS", heaviest.kib / MIB, _MEMORY, "MiB",
            f"{heaviest.processes} processes, with its load",
        ),
        below(f"{where}: times that one list was asked", often, _LISTS, "x", asked),
        below(f"{where}: API calls of a drill", own, _CALLS, "calls", remark),
    ]  # fmt: skip


def _own(one: Measured) -> int:
    """Without what only passes through the API server: load, and talk with agents."""
    return sum(not request.resource.endswith("/proxy") for request in one.requests)


def _growth(small: Measured, large: Measured) -> list[Row]:
    what = f"growth from {small.nodes} to {large.nodes} nodes: "
    pairs = (
        ("plan", small.plan, large.plan, 3.0),
        ("peak RSS", small.drill.peak, large.drill.peak, 2.0),
        ("API calls", _own(small), _own(large), _GROWTH),
    )
    return [below(what + name, new / old, limit, "x") for name, old, new, limit in pairs]


def failures(found: Sequence[Measured]) -> list[str]:
    """A sentence for each drill that did not pass or asked too much."""
    said = []
    for one in found:
        asked, often = most_asked_list(one.requests)
        if one.drill.code:
            said.append(f"{one.nodes} nodes: no drill of {DRILLS} passed, the last one ended with {one.drill.code}.")
        if often > _LISTS:
            said.append(f"{one.nodes} nodes: `{asked}` was asked {often} times, more than {_LISTS}: it is polled.")
        if _own(one) > _CALLS:
            said.append(f"{one.nodes} nodes: a drill took {_own(one)} API calls, more than {_CALLS}.")
    if len(found) > 1 and (growth := _own(found[-1]) / _own(found[0])) > _GROWTH:
        said.append(f"API calls grow {growth:.2f} times from {found[0].nodes} to {found[-1].nodes} nodes.")
    return said


def _requests(found: Sequence[Measured]) -> str:
    """A line for each kind of request, a column for each size."""
    counts = [Counter(one.what for one in size.requests) for size in found]
    kinds = sorted(set().union(*counts), key=lambda kind: (-max(count[kind] for count in counts), kind))
    head = f"{'API calls of a drill, from the audit log':52}" + "".join(f"{f'{one.nodes} nodes':>12}" for one in found)
    lines = [f"{kind:52}" + "".join(f"{count[kind]:>12}" for count in counts) for kind in kinds]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
