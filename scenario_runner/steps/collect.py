"""Keep what a person needs to understand what happened."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scenario_runner.core.evidence import Piece, Sources
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import WorkloadTarget, node_names
from scenario_runner.errors import ScenarioRunnerError, StepBroken


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
        for piece in self._pieces(ctx):
            try:
                text = piece.read()
            except ScenarioRunnerError as exc:
                problems.append(f"{piece.name}: {exc}")
                text = f"cannot be read: {exc}\n"
            kept.append(ctx.run.evidence_file(f"{ctx.step_id}-{piece.name}", text))
        if len(problems) == len(kept):
            raise StepBroken("no evidence could be read: " + "; ".join(problems or ["there is none"]))
        unread = f"; cannot be read: {'; '.join(problems)}" if problems else ""
        return Finding(f"kept {len(kept)} files, such as {kept[0]}{unread}", {"files": float(len(kept))})

    def _pieces(self, ctx: Context) -> Iterator[Piece]:
        target, sources = ctx.target(self.target), Sources(ctx.cluster, ctx.agent, ctx.observations)
        workload = target if isinstance(target, WorkloadTarget) else None
        if "objects" in self.what:
            yield from map(sources.node, node_names([target])) if workload is None else [sources.workload(workload)]
        if "logs" in self.what and workload is not None:
            yield from sources.logs(workload)
        if "events" in self.what:
            yield sources.events()
        if "faults" in self.what:
            yield sources.faults()
