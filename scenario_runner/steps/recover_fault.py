"""Take a fault back before its time."""

from typing import Annotated, ClassVar

from pydantic import Field

from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.step import Context, Step, StepName


class RecoverFault(Step):
    """
    Take back what an `inject_xid` did, now instead of at the end of its group or of the scenario.

    Waits until the agent has declared the fault over. The platform heals the node on its own afterwards.
    """

    role: ClassVar[Role] = Role.ACTION
    bare: ClassVar[str | None] = "of"
    default_timeout: ClassVar[float] = 120.0
    example: ClassVar[str] = """
        recover_fault: lost-gpu
    """

    of: Annotated[str, StepName(("inject_xid",))] = Field(description="Id of the `inject_xid` to take back.")

    def run(self, ctx: Context) -> Finding:
        return ctx.take_back(self.of)
