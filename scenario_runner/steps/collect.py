"""Keep what a person needs to understand what happened."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.states import PodState
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import WorkloadTarget, nodes_of
from scenario_runner.errors import ScenarioRunnerError, StepBroken

_MOST_PODS = 20
_LOG_BYTES = 256 * 1024
Piece = tuple[str, Callable[[], str]]


class Collect(Step):
    """
    Keep evidence among the run's files: of a workload its object and its pods' logs, of nodes their objects.

    The events that were seen and what the fault agents know are kept as well. A piece that can not be read says so in
    its own file; nothing at all makes the step broken.
    """

    role: ClassVar[Role] = Role.ACTION
    reads_only: ClassVar[bool] = True
    bare: ClassVar[str | None] = "target"
    example: ClassVar[str] = """
        collect: {target: worker, what: [objects, logs, events]}
    """

    target: Annotated[str, TargetKinds(("workload", "gpu", "node", "nodes"))] = Field(description="What it is about.")
    what: tuple[Literal["objects", "logs", "events", "faults"], ...] = Field(
        ("objects", "logs", "events", "faults"), min_length=1, description="Which evidence."
    )

    def run(self, ctx: Context) -> Finding:
        kept, problems = [], []
        for name, read in self._pieces(ctx):
            try:
                text = read()
            except ScenarioRunnerError as exc:
                problems.append(f"{name}: {exc}")
                text = f"cannot be read: {exc}\n"
            kept.append(ctx.run.evidence_file(f"{ctx.step_id}-{name}", text))
        if len(problems) == len(kept):
            raise StepBroken("no evidence could be read: " + "; ".join(problems or ["there is none"]))
        unread = f"; cannot be read: {'; '.join(problems)}" if problems else ""
        return Finding(f"kept {len(kept)} files, such as {kept[0]}{unread}", {"files": float(len(kept))})

    def _pieces(self, ctx: Context) -> Iterator[Piece]:
        target = ctx.target(self.target)
        if isinstance(target, WorkloadTarget):
            if "objects" in self.what:
                yield f"{target.kind}-{target.name}.yaml", lambda: _describe(ctx, target)
            yield from _logs(ctx, target) if "logs" in self.what else ()
        elif "objects" in self.what:
            for node in nodes_of(target):
                yield f"node-{node.name}.yaml", lambda name=node.name: ctx.cluster.describe("Node", "", name)  # type: ignore[misc]
        if "events" in self.what:
            yield "events.txt", lambda: _events(ctx)
        if "faults" in self.what:
            yield "faults.json", lambda: json.dumps(asdict(ctx.agent.faults()), indent=2) + "\n"


def _describe(ctx: Context, target: WorkloadTarget) -> str:
    return ctx.cluster.describe(target.kind, target.namespace, target.name)


def _logs(ctx: Context, target: WorkloadTarget) -> Iterator[Piece]:
    for pod in ctx.cluster.pods(target.namespace, target.selector)[:_MOST_PODS]:
        yield f"{pod.name}.log", lambda pod=pod: _log(ctx, pod, previous=False)  # type: ignore[misc]
        if pod.restarts:
            yield f"{pod.name}-previous.log", lambda pod=pod: _log(ctx, pod, previous=True)  # type: ignore[misc]


def _log(ctx: Context, pod: PodState, *, previous: bool) -> str:
    return ctx.cluster.logs(pod.namespace, pod.name, previous=previous, max_bytes=_LOG_BYTES)


def _events(ctx: Context) -> str:
    events = ctx.observations.select("event")
    return "".join(f"{one.time:%H:%M:%S.%f} {one.name} {one.value}: {one.detail}\n" for one in events)
