"""Take the CUDA library out of a workload before the end."""

from typing import Annotated, ClassVar

from pydantic import Field

from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.step import Context, Step, StepName


class RestoreCuda(Step):
    """Take back what a `patch_cuda` did, now instead of at the end of its group or of the scenario."""

    role: ClassVar[Role] = Role.ACTION
    bare: ClassVar[str | None] = "of"
    default_timeout: ClassVar[float] = 600.0
    example: ClassVar[str] = """
        restore_cuda: library
    """

    of: Annotated[str, StepName(("patch_cuda",))] = Field(description="Id of the `patch_cuda` to take back.")

    def run(self, ctx: Context) -> Finding:
        return ctx.take_back(self.of)
