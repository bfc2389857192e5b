"""Decides how a run ended: the exact rules, as one pure function."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scenario_runner.core.clock import StopKind, StopReason
from scenario_runner.core.faults import Fault
from scenario_runner.core.outcome import Outcome, Phase, Role, Status
from scenario_runner.core.report import Verdict
from scenario_runner.errors import ExitCode


@dataclass(frozen=True)
class ProvedFault:
    """A fault, how far it is proved, and why its end is not the one that the scenario asked for ("" if it is)."""

    fault: Fault
    evidence: str  # written, noticed, hit
    offset: float  # seconds since the run began when it was acknowledged
    spoiled: str = ""

    @property
    def observed(self) -> bool:
        return self.evidence in {"noticed", "hit"} or self.fault.expect == "written"


@dataclass(frozen=True)
class Facts:
    """All that a verdict is made of."""

    outcomes: Sequence[Outcome]
    faults: Sequence[ProvedFault]
    control: bool
    left: Sequence[str] = ()  # what is still to be taken back
    stop: StopReason | None = None
    trouble: str = ""


def judge(facts: Facts) -> Verdict:
    """The first of left, interrupted, broken, failed that applies; passed is what nothing speaks against."""
    if facts.left:
        return _verdict(Status.BROKEN, ExitCode.LEFTOVER, "still to be taken back: " + "; ".join(facts.left))
    if facts.stop is not None and facts.stop.kind is StopKind.SIGNAL:
        return _verdict(Status.INTERRUPTED, ExitCode.INTERRUPTED, facts.stop.text)
    for status, code in ((Status.BROKEN, ExitCode.BROKEN), (Status.FAILED, ExitCode.FAILED)):
        if reason := next(_reasons(facts, status), ""):
            return _verdict(status, code, reason)
    if reason := next(_accidents(facts), ""):
        return _verdict(Status.BROKEN, ExitCode.BROKEN, reason)
    return _verdict(Status.PASSED, ExitCode.PASSED, _praise(facts))


def _reasons(facts: Facts, status: Status) -> Iterator[str]:
    if status is Status.BROKEN and facts.trouble:
        yield facts.trouble
    kinds = {StopKind.BROKEN} if status is Status.BROKEN else {StopKind.ABORT, StopKind.DEADLINE}
    if facts.stop is not None and facts.stop.kind in kinds:
        yield facts.stop.text + _cut_short(facts, status)
    for one in sorted(facts.outcomes, key=lambda one: one.role is not Role.LOAD):  # a load breaks what waits for it
        if one.status is status:
            yield f"step {one.number} {one.name} {'is broken' if status is Status.BROKEN else 'failed'}: {one.summary}"
    if status is Status.BROKEN:
        yield from (f"step {one.number} {one.name} was interrupted" for one in _lone_interruptions(facts))


def _cut_short(facts: Facts, status: Status) -> str:
    """Which steps did not come to their end because of our own trouble; "" for another reason to stop."""
    names = [f"step {one.number} {one.name}" for one in facts.outcomes if one.status is Status.INTERRUPTED]
    return f"; cut short: {', '.join(names)}" if names and status is Status.BROKEN else ""


def _lone_interruptions(facts: Facts) -> Iterator[Outcome]:
    """Interrupted though nobody asked the run to stop: nothing is known about that step."""
    if facts.stop is None:
        yield from (one for one in facts.outcomes if one.status is Status.INTERRUPTED)


def _accidents(facts: Facts) -> Iterator[str]:
    """Ways to be green without having tested anything."""
    for one in facts.outcomes:
        if one.status is Status.SKIPPED and one.role in {Role.FAULT, Role.ASSERTION}:
            what = "the fault never happened" if one.role is Role.FAULT else "nothing was asserted"
            yield f"step {one.number} {one.name} was skipped ({one.summary}): {what}"
    for proved in facts.faults:
        yield from _unproved(proved)
    if not any(one.status is Status.PASSED and one.phase is Phase.STEPS for one in facts.outcomes):
        yield "nothing passed: no step was carried out"
    if not facts.control:
        yield from _untested(facts)


_XID_UNPROVED = (
    "was written to the kernel log, and nobody was seen to notice it: "
    "no condition, event or state of the platform, no hit in the workload"
)
_CUDA_UNPROVED = "was armed, and no process of a pod ran into it: do its pods carry the library, and use that GPU?"


def _unproved(proved: ProvedFault) -> Iterator[str]:
    fault = proved.fault
    if not proved.observed:
        yield f"{fault.words} on {fault.node} {_CUDA_UNPROVED if fault.cuda else _XID_UNPROVED}"
    if proved.spoiled:
        yield f"{fault.words} on {fault.node} {proved.spoiled}, which the scenario did not ask for"


def _untested(facts: Facts) -> Iterator[str]:
    observed = [proved for proved in facts.faults if proved.observed]
    if not observed:
        yield "no fault was observed, and the scenario is not marked `control: true`"
        return
    first = min(proved.offset for proved in observed)
    if not any(_asserts(one) and one.offset + one.seconds >= first for one in facts.outcomes):
        yield "no assertion was judged after the fault"


def _asserts(one: Outcome) -> bool:
    health = {Phase.HEALTH, Phase.HEALTH_AFTER}
    return one.role is Role.ASSERTION and one.status is Status.PASSED and one.phase not in health


def _praise(facts: Facts) -> str:
    passed = sum(one.status is Status.PASSED and one.phase is not Phase.UNDO for one in facts.outcomes)
    if not facts.faults:
        return f"{passed} steps passed; a control without a fault"
    proofs = ", ".join(f"{one.fault.words} on {one.fault.node} was {_proof(one)}" for one in facts.faults)
    return f"{passed} steps passed; {proofs}; everything was taken back"


def _proof(proved: ProvedFault) -> str:
    return "armed" if proved.evidence == "written" and proved.fault.cuda else proved.evidence


def _verdict(status: Status, code: ExitCode, reason: str) -> Verdict:
    return Verdict(status, int(code), reason)
