"""A few kinds of steps, small enough that every test can see what they take."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scenario_runner.core.faults import Strike
from scenario_runner.core.outcome import Role
from scenario_runner.core.quantities import Limit, RatePerSecond, Ratio, Seconds
from scenario_runner.core.step import LoadName, Step, StepName, TargetKinds


class SmallStep(Step):
    """A step whose kind comes from its class, because all of them live in one file."""

    @classmethod
    def kind(cls) -> str:
        return re.sub(r"(?<!^)([A-Z])", r"_\1", cls.__name__).lower()


class InjectXid(SmallStep):
    """Make a GPU fail."""

    role: ClassVar[Role] = Role.FAULT
    target: Annotated[str, TargetKinds(("gpu", "node"))] = Field(description="What fails.")
    xid: int = Field(ge=1, le=999, description="The XID.")
    gpu: int = Field(0, description="Which GPU of a node.")
    duration: Seconds | None = Field(None, description="How long.")
    expect: Literal["observed", "written"] = Field("observed", description="What proof is enough.")

    def strikes(self):
        return Strike(f"XID {self.xid}", self.xid)

    def changes(self, targets):
        return [f"{self.target}: a kernel log line with XID {self.xid}"]


class RecoverFault(SmallStep):
    """Take a fault back early."""

    role: ClassVar[Role] = Role.ACTION
    bare: ClassVar[str | None] = "fault"
    fault: Annotated[str, StepName(("inject_xid",))] = Field(description="Id of the step.")


class SendRequests(SmallStep):
    """Send requests."""

    role: ClassVar[Role] = Role.LOAD
    reads_only: ClassVar[bool] = True
    can_run_in_background: ClassVar[bool] = True
    target: Annotated[str, TargetKinds(("endpoint",))] = Field(description="Where to.")
    rate: RatePerSecond | None = Field(None, description="How many a second.")
    duration: Seconds | None = Field(None, alias="for", description="How long.")
    count: int | None = Field(None, ge=1, description="How many.")
    every: Seconds | None = Field(None, description="Time between two.")
    ratio: Ratio | None = Field(None, description="What must succeed.")

    def longest(self, timeout):
        return max(timeout, (self.duration or 0.0) + 30.0)


class Join(SmallStep):
    """Wait for a load to end."""

    role: ClassVar[Role] = Role.LOAD
    reads_only: ClassVar[bool] = True
    bare: ClassVar[str | None] = "load"
    load: Annotated[str, LoadName()] = Field(description="Which load.")


class AssertSuccess(SmallStep):
    """Demand successes."""

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    load: Annotated[str, LoadName()] = Field(description="Which load.")
    ratio: Ratio = Field(description="How many must succeed.")
    during: str | None = Field(None, description="In which window.")


class AssertLatency(SmallStep):
    """Demand speed."""

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    load: Annotated[str, LoadName()] = Field(description="Which load.")
    p95: Limit = Field(description="How fast.")
    during: str | None = Field(None, description="In which window.")


class WaitForNode(SmallStep):
    """Wait for a state of a node."""

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    target: Annotated[str, TargetKinds(("node", "gpu"))] = Field(description="Which node.")
    reached: Literal["cordoned", "ready", "schedulable"] | None = Field(None, description="A state seen by now.")
    ready: int | Literal["all"] | None = Field(None, description="How many.")


class WaitForRecovery(SmallStep):
    """Wait until requests succeed again."""

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    load: Annotated[str, LoadName()] = Field(description="Which load.")
    ratio: Ratio = Field(description="How many must succeed.")
    window: Seconds = Field(description="Over how long.")


class Pause(SmallStep):
    """Do nothing for a while."""

    role: ClassVar[Role] = Role.ACTION
    reads_only: ClassVar[bool] = True
    bare: ClassVar[str | None] = "duration"
    duration: Seconds = Field(alias="for", description="How long.")

    def longest(self, timeout):
        return max(timeout, self.duration)


KINDS = {
    "inject_xid": InjectXid,
    "recover_fault": RecoverFault,
    "send_requests": SendRequests,
    "join": Join,
    "assert_success": AssertSuccess,
    "assert_latency": AssertLatency,
    "wait_for_node": WaitForNode,
    "wait_for_recovery": WaitForRecovery,
    "pause": Pause,
}
