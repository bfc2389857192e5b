"""Let CUDA work again before the end."""

from collections.abc import Mapping
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

    of: Annotated[str, StepName(("arm_cuda", "patch_cuda"))] = Field(
        description="Id of the `arm_cuda` to take back, or of an armed `patch_cuda`, whose library stays."
    )

    def run(self, ctx: Context) -> Finding:
        return ctx.take_back(self.of, only="disarm_cuda")

    def check(self, peers: Mapping[str, Step]) -> list[str]:
        armed = peers.get(self.of)
        arms = armed is None or armed.strikes() is not None
        return [] if arms else [f"of: {self.of} arms nothing: name an arm_cuda, or give it armed: true"]
