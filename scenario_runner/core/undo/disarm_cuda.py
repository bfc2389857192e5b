"""Takes a CUDA fault back."""

from typing import ClassVar, Literal

from scenario_runner.core.ports import ObjectRef
from scenario_runner.core.step import Undo, UndoContext, UndoPhase


class DisarmCuda(Undo):
    """
    Tell the fault's agent that CUDA shall work again. A process whose fault is sticky stays broken, as on a real GPU.

    The agent leaves a tombstone for an id that it does not know, so an order that is still on its way fails.
    """

    phase: ClassVar[UndoPhase] = UndoPhase.FAULTS

    undo: Literal["disarm_cuda"] = "disarm_cuda"
    fault_id: str
    node: str
    what: str  # "CUDA fault gpu-lost"

    def take_back(self, ctx: UndoContext) -> str:
        record = ctx.agent.recover(self.fault_id)
        if record.status == "tombstone":
            return f"{self.subject()} had not been armed; a late order of it is refused"
        return f"{self.subject()} {'is disarmed' if record.status == 'recovered' else record.ended}"

    def leftover(self, ctx: UndoContext) -> str | None:
        record = ctx.agent.fault(self.fault_id)
        return None if record is None or record.over else f"CUDA fault {record.standing}"

    def subject(self) -> str:
        return f"{self.what} on {self.node}"

    def touches(self) -> ObjectRef:
        return ObjectRef("v1", "Node", "", self.node)
