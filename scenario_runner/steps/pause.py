"""Let time pass."""

from typing import ClassVar

from pydantic import Field

from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.quantities import Seconds, format_seconds
from scenario_runner.core.step import Context, Step


class Pause(Step):
    """
    Let time pass, for example to see a while of calm traffic before a fault.

    To wait for something, name it: the `wait_for_...` kinds end the moment it is there.
    """

    role: ClassVar[Role] = Role.ACTION
    reads_only: ClassVar[bool] = True
    bare: ClassVar[str | None] = "lasts"
    example: ClassVar[str] = """
        pause: 30s
    """

    lasts: Seconds = Field(alias="for", gt=0, description="How long: `500ms`, `30s`, `2m`.")

    def run(self, ctx: Context) -> Finding:
        ctx.clock.sleep(self.lasts)
        return Finding(f"paused for {format_seconds(self.lasts)}", {"seconds": self.lasts})

    def longest(self, timeout: float) -> float:
        return max(timeout, self.lasts)

    def patience(self, profile: PlatformProfile) -> float:
        del profile
        return self.lasts + self.default_timeout

    def title(self) -> str:
        return f"pause for {format_seconds(self.lasts)}"
