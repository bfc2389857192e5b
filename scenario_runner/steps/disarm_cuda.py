"""Let CUDA work again before the end."""

from typing import Annotated, ClassVar

from pydantic import Field

from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.step import Context, Step, StepName


class DisarmCuda(Step):
    """
    Take back what an `arm_cuda` did, now instead of at the end of its group or of the scenario.

    New calls work at once. A process that ran into a sticky error stays broken until it is restarted, as on a GPU.
    """

    role: ClassVar[Role] = Role.ACTION
    bare: ClassVar[str | None] = "of"
    example: ClassVar[str] = """
        disarm_cuda: lost-in-cuda
    """

    of: Annotated[str, StepName(("arm_cuda",))] = Field(description="Id of the `arm_cuda` to take back.")

    def run(self, ctx: Context) -> Finding:
        return ctx.take_back(self.of)
