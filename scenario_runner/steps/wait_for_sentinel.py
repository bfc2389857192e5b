"""Wait for a state of the platform that heals nodes."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from scenario_runner.core.node_waits import NodeWait, mode_of
from scenario_runner.core.node_words import SENTINEL_WORDS, SentinelWord
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.quantities import Seconds, format_seconds
from scenario_runner.core.step import Context, Step, StepName, TargetKinds
from scenario_runner.core.targets import nodes_of

_PHASES = {"quarantined": "cordoned", "draining": "cordoned", "drain-succeeded": "drained", "drain-failed": "drained"}


class WaitForSentinel(Step):
    """
    Wait for a state of NVSentinel, the platform that heals nodes, as its label on the node shows it.

    `reached` counts any time since the newest fault, and a later state of the way to success as well; `healed` means
    that the label was there and is gone. A repair that has failed ends the wait for its success at once.
    """

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    default_timeout: ClassVar[float] = 600.0
    example: ClassVar[str] = """
        wait_for_sentinel: {target: victim, reached: remediation-succeeded}
        timeout: 10m
    """

    target: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] = Field(description="The node(s), or a GPU's node.")
    reached: SentinelWord | None = Field(None, description="A state seen at any time since the newest fault.")
    never: SentinelWord | None = Field(None, description="A state not seen since the newest fault, nor within `for`.")
    lasts: Seconds | None = Field(None, alias="for", gt=0, description="How long it must not come.")
    since: Annotated[str, StepName(("inject_xid",))] | None = Field(
        None, description="Id of the `inject_xid` since which history counts, instead of the newest."
    )

    @model_validator(mode="after")
    def _asks_one_question(self) -> "WaitForSentinel":
        if mode_of(reached=self.reached, never=self.never) == "reached" and self.lasts is not None:
            raise ValueError("`for` belongs to never; reached is waited for until the timeout of the step")
        if self.never is not None and self.lasts is None:
            raise ValueError("never needs `for`: how long it is watched")
        return self

    def run(self, ctx: Context) -> Finding:
        nodes = [node.name for node in nodes_of(ctx.target(self.target))]
        wait = NodeWait(ctx, nodes, self._word(), SENTINEL_WORDS[self._word()], self.since)
        return wait.reached() if self.lasts is None else wait.never(self.lasts)

    def longest(self, timeout: float) -> float:
        return max(timeout, self.lasts or 0.0)

    def patience(self, profile: PlatformProfile) -> float:
        if self.lasts is not None:
            return self.lasts + 60.0
        return float(getattr(profile, _PHASES.get(self._word(), "remediated")))

    def title(self) -> str:
        if self.lasts is not None:
            return f"{self.target} never gets {self._word()} for {format_seconds(self.lasts)}"
        return f"{self.target} reaches {self._word()}"

    def _word(self) -> str:
        word = self.reached or self.never
        assert word is not None
        return word
