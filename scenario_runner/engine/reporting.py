"""Turns what a run has come to into its report."""

import platform
from collections.abc import Iterator

from scenario_runner.core.faults import Fault, Interval
from scenario_runner.core.loads import LoadHandle
from scenario_runner.core.outcome import Outcome, Phase, Role, Status
from scenario_runner.core.plan import Plan
from scenario_runner.core.report import (
    FaultSummary,
    LoadPiece,
    LoadSummary,
    PlanSummary,
    Report,
    UndoSummary,
    Verdict,
)
from scenario_runner.core.samples import Samples, percentile
from scenario_runner.engine.phases import phase_times
from scenario_runner.engine.records import Promise
from scenario_runner.engine.state import RunState
from scenario_runner.engine.verdict import Facts, ProvedFault, judge
from scenario_runner.engine.versions import version

_PIECE_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 24 * 3600.0)
_MOST_PIECES = 150


def summarise(plan: Plan) -> PlanSummary:
    return PlanSummary(
        scenario=plan.scenario,
        description=plan.description,
        file=str(plan.file),
        digest=plan.digest,
        tags=plan.tags,
        control=plan.control,
        variables={one.name: str(one.value) for one in plan.variables},
        targets={one.name: one.chosen for one in plan.resolved},
        changes=plan.changes,
        undo_budget=plan.undo_budget,
        worst_case=plan.worst_case,
        seed=plan.seed,
    )


def report(state: RunState) -> Report:
    verdict = judge(_facts(state))
    outcomes = tuple(state.outcomes)
    if not _told(verdict, outcomes):
        outcomes = (*outcomes, _as_outcome(state, verdict))
    return Report(
        run_id=state.world.run_id,
        backend=state.world.backend,
        started=state.started,
        seconds=state.elapsed,
        plan=summarise(state.plan),
        verdict=verdict,
        outcomes=outcomes,
        loads=tuple(_load(state, one) for one in state.ledger.loads),
        faults=tuple(_fault(state, fault) for fault in state.ledger.faults),
        phases=phase_times(state),
        undo=tuple(_undo(state, one) for one in state.world.journal.promises),
        observations=state.log.all(),
        residue=_residue(state),
        notes=_notes(state),
        version=version(),
        host=platform.node(),
    )


def _facts(state: RunState) -> Facts:
    return Facts(
        outcomes=state.outcomes,
        faults=[_proved(state, fault) for fault in state.ledger.faults],
        control=state.plan.control,
        left=[] if state.world.claim.lost else _left(state),
        stop=state.world.stop.reason,
        trouble=state.trouble,
    )


def _left(state: RunState) -> list[str]:
    return [f"{one.subject()} ({one.detail})" for one in state.world.journal.outstanding]


def _proved(state: RunState, fault: Fault) -> ProvedFault:
    end = state.ledger.end_of(fault)
    spoiled = end.reason if end is not None and end.spoiled else ""
    return ProvedFault(fault, state.ledger.evidence(fault), fault.at - state.ledger.began, spoiled)


def _told(verdict: Verdict, outcomes: tuple[Outcome, ...]) -> bool:
    """Whether some outcome shows already that the run did not pass: readers of JUnit see nothing else."""
    red = {one.status for one in outcomes} - {Status.PASSED, Status.SKIPPED}
    return verdict.status is Status.PASSED or verdict.status in red


def _as_outcome(state: RunState, verdict: Verdict) -> Outcome:
    return Outcome(
        number="verdict",
        step_id="verdict",
        kind="verdict",
        name="the run as a whole",
        role=Role.ACTION,
        phase=Phase.AFTER,
        status=verdict.status,
        summary=verdict.reason,
        started=state.world.clocks.undo.now(),
        offset=state.elapsed,
        seconds=0.0,
    )


def _load(state: RunState, handle: LoadHandle) -> LoadSummary:
    chosen = handle.run.samples.select()
    latencies = chosen.latencies
    return LoadSummary(
        step_id=handle.step_id,
        requests=chosen.total,
        succeeded=chosen.succeeded,
        ratio=chosen.ratio,
        p50=percentile(latencies, 50),
        p95=percentile(latencies, 95),
        p99=percentile(latencies, 99),
        longest=latencies[-1] if latencies else None,
        first_token_p95=percentile(chosen.first_tokens, 95),
        inter_token_p50=percentile(chosen.inter_tokens, 50),
        inter_token_p95=percentile(chosen.inter_tokens, 95),
        failures=dict(chosen.failures),
        late_starts=chosen.late / chosen.total if chosen.total else 0.0,
        broken=handle.run.broken,
        pieces=tuple(_pieces(handle.run.samples, state.ledger.began)),
    )


def _pieces(samples: Samples, began: float) -> Iterator[LoadPiece]:
    """Pieces of a round length, so many that a chart shows what happened and no more."""
    span = samples.span
    if span is None or span.end is None:
        return
    length = next(one for one in _PIECE_SECONDS if (span.end - span.start) / one < _MOST_PIECES)
    for number in range(int((span.end - span.start) / length) + 1):
        start = span.start + number * length
        chosen = samples.select([Interval(start, start + length)])
        if chosen.total:
            p50, p95 = (percentile(chosen.latencies, q) for q in (50, 95))
            at = start - began
            yield LoadPiece(at, at + length, chosen.total, chosen.succeeded, p50, p95)


def _fault(state: RunState, fault: Fault) -> FaultSummary:
    end, record = state.ledger.end_of(fault), state.ledger.record(fault.fault_id)
    return FaultSummary(
        fault_id=fault.fault_id,
        step_id=fault.step_id,
        xid=fault.xid,
        node=fault.node,
        gpu=f"{fault.gpu_index} {fault.gpu_uuid}".strip(),
        evidence=state.ledger.evidence(fault),
        record=record.evidence if record else None,
        start=fault.at - state.ledger.began,
        end=None if end is None else end.at - state.ledger.began,
        end_reason="" if end is None else end.reason,
        cuda=fault.cuda,
        hits=state.ledger.hits(fault.fault_id).processes,
        ordered=record.injected_at if record else "",
    )


def _undo(state: RunState, promise: Promise) -> UndoSummary:
    undone = state.undone.get(promise.seq)
    outcome = promise.state if promise.state in {"kept", "withdrawn"} else "left"
    seconds = undone.seconds if undone else 0.0
    detail = state.world.claim.lost if outcome == "left" and state.world.claim.lost else promise.detail
    return UndoSummary(promise.seq, promise.subject(), promise.step_id, outcome, detail, seconds)


def _residue(state: RunState) -> tuple[str, ...]:
    records = [(fault, state.ledger.record(fault.fault_id)) for fault in state.ledger.faults]
    return tuple(
        f"{fault.node}: record {record.evidence.sequence} of the {record.evidence.kernel_log} kernel log"
        for fault, record in records
        if record is not None and record.evidence is not None
    )


def _notes(state: RunState) -> tuple[str, ...]:
    gaps = [f"{one.name}: {one.value}" for one in state.log.select("watch", fact="gap")]
    return (
        *state.notes,
        *state.ledger.overlooked,
        *state.emit.notes,
        *state.world.journal.notes,
        *state.world.claim.notes,
        *gaps,
    )
