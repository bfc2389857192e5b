"""Wait for a state of a node."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from scenario_runner.core.node_waits import NodeWait, mode_of
from scenario_runner.core.node_words import NODE_WORDS, NodeWord
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.quantities import Seconds, format_seconds
from scenario_runner.core.step import Context, Step, StepName, TargetKinds
from scenario_runner.core.targets import nodes_of

_PHASES = {
    "noticed": "detected",
    "unhealthy": "detected",
    "cordoned": "cordoned",
    "quarantined": "cordoned",
    "drained": "drained",
    "remediated": "remediated",
}


class WaitForNode(Step):
    """
    Wait for a state of a node: `reached` at any time since the newest fault, so that a state that came and went is not
    missed; true `now`; one that `stays`, or that `never` comes, `for` a while.

    `noticed` means that the platform reported this very fault, `unhealthy` that the condition SysLogsXIDError holds;
    `quarantined`, `drained` and `remediated` are the platform's state, that one or a later one.
    """

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    example: ClassVar[str] = """
        wait_for_node: {target: victim, reached: cordoned}
        timeout: 2m
    """

    target: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] = Field(description="The node(s), or a GPU's node.")
    reached: NodeWord | None = Field(None, description="A state seen at any time since the newest fault.")
    now: NodeWord | None = Field(None, description="A state that holds now; waited for.")
    stays: NodeWord | None = Field(None, description="A state that must hold for the whole time of `for`.")
    never: NodeWord | None = Field(None, description="A state not seen since the newest fault, nor within `for`.")
    lasts: Seconds | None = Field(None, alias="for", gt=0, description="How long it must stay so or never come.")
    since: Annotated[str, StepName(("inject_xid",))] | None = Field(
        None, description="Id of the `inject_xid` since which history counts, instead of the newest."
    )

    @model_validator(mode="after")
    def _asks_one_question(self) -> "WaitForNode":
        mode = mode_of(reached=self.reached, now=self.now, stays=self.stays, never=self.never)
        if (self.lasts is not None) != (mode in {"stays", "never"}):
            raise ValueError("stays and never need `for`, reached and now have none")
        return self

    def run(self, ctx: Context) -> Finding:
        nodes = [node.name for node in nodes_of(ctx.target(self.target))]
        word = self._word()
        wait = NodeWait(ctx, nodes, word, NODE_WORDS[word], self.since)
        if self.lasts is not None:
            return wait.stays(self.lasts) if self.stays else wait.never(self.lasts)
        return wait.reached() if self.reached else wait.now()

    def longest(self, timeout: float) -> float:
        return max(timeout, self.lasts or 0.0)

    def patience(self, profile: PlatformProfile) -> float:
        if self.lasts is not None:
            return self.lasts + self.default_timeout
        return float(getattr(profile, _PHASES.get(self._word(), "uncordoned")))

    def title(self) -> str:
        verb = "reaches" if self.reached else "is" if self.now else "stays" if self.stays else "never gets"
        return f"{self.target} {verb} {self._word()}" + (f" for {format_seconds(self.lasts)}" if self.lasts else "")

    def _word(self) -> str:
        word = self.reached or self.now or self.stays or self.never
        assert word is not None
        return word
