"""Steps whose changes end with them."""

from typing import ClassVar

from pydantic import Field

from scenario_runner.core.outcome import Role
from scenario_runner.core.step import Step


class Group(Step):
    """
    Steps that belong together: what they changed is taken back when the last of them has ended.

    Use it for a fault that shall be gone before the next step, e.g. one GPU after the other. The planner puts the steps
    in the group's place, so a group is never carried out itself.
    """

    role: ClassVar[Role] = Role.GROUP
    example: ClassVar[str] = """
        group:
          steps:
            - inject_xid: {target: victim, xid: 94}
            - pause: 10s
        id: one-fault
    """

    steps: tuple[object, ...] = Field(
        min_length=1, description="Carried out one after the other; each written as anywhere else."
    )
