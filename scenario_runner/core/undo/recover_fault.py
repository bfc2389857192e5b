"""Takes an injected GPU fault back."""

from typing import ClassVar, Literal

from scenario_runner.core.ports import ObjectRef
from scenario_runner.core.step import Undo, UndoContext, UndoPhase


class RecoverFault(Undo):
    """
    Tell the fault's agent that the fault is over.

    The agent leaves a tombstone for an id that it does not know, so an injection that is still on its way fails.
    """

    phase: ClassVar[UndoPhase] = UndoPhase.FAULTS

    undo: Literal["recover_fault"] = "recover_fault"
    fault_id: str
    node: str
    xid: int

    def take_back(self, ctx: UndoContext) -> str:
        record = ctx.agent.recover(self.fault_id)
        if record.status == "tombstone":
            return f"{self.subject()} had not happened; a late injection of it is refused"
        return f"{self.subject()} {record.ended}"

    def leftover(self, ctx: UndoContext) -> str | None:
        record = ctx.agent.fault(self.fault_id)
        return None if record is None or record.over else f"fault {record.standing}"

    def subject(self) -> str:
        return f"XID {self.xid} on {self.node}"

    def touches(self) -> ObjectRef:
        return ObjectRef("v1", "Node", "", self.node)
