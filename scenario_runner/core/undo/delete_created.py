"""Takes an object away again that a step created."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from scenario_runner.core.edits import claim_of
from scenario_runner.core.ports import Document, ObjectRef
from scenario_runner.core.step import Act, Undo, UndoContext, UndoPhase
from scenario_runner.errors import TargetUnreachable

LATEST = 50.0  # seconds: an API server lets a request wait for 15 at most, and then works on it for 34 at most


class DeleteCreated(Undo):
    """
    Delete the object of that name if it carries our claim; one that somebody else made under the name is not ours.

    The name is fixed by the promise, so a crash in the middle of the creation leaves nothing that nobody finds. One
    that nobody saw answered may still be under way, and unlike a patch it has no condition that we could take away:
    its name is watched until no API server has it in hand any more.
    """

    phase: ClassVar[UndoPhase] = UndoPhase.OBJECTS

    undo: Literal["delete_created"] = "delete_created"
    api_version: str
    kind: str
    namespace: str = ""
    name: str

    @staticmethod
    def name_for(run_id: str, purpose: str) -> str:
        """A name that no other run uses: `purpose` is a short word in lower case."""
        return f"scenario-runner-{purpose}-{hashlib.sha256(run_id.encode()).hexdigest()[:10]}"

    def make(self, act: Act, content: Mapping[str, Any]) -> Document:
        """Create the object; `content` is all of it but apiVersion, kind, name, namespace and claim."""
        return act.cluster.create(self.touches(), act.claim, content)

    def take_back(self, ctx: UndoContext) -> str:
        document = self._ours(ctx)
        if document is None:
            self._must_be_settled(ctx)
            return f"{self.subject()} is not there"
        ctx.cluster.delete(document.ref)
        return f"{self.subject()} was deleted"

    def leftover(self, ctx: UndoContext) -> str | None:
        document = self._ours(ctx)
        if document is None:
            return None
        holding = document.content.get("metadata", {}).get("finalizers")
        return f"{self.subject()} is still there" + (f", held by {', '.join(holding)}" if holding else "")

    def subject(self) -> str:
        return f"our {self.kind} " + (f"{self.namespace}/{self.name}" if self.namespace else self.name)

    def touches(self) -> ObjectRef:
        return ObjectRef(self.api_version, self.kind, self.namespace, self.name)

    def _must_be_settled(self, ctx: UndoContext) -> None:
        waited = ctx.clock.monotonic() - ctx.began
        if not ctx.answered and waited < LATEST:
            raise TargetUnreachable(
                f"{self.subject()} may still be made: nobody saw its creation answered, "
                f"and {LATEST - waited:.0f}s are left in which it can land"
            )

    def _ours(self, ctx: UndoContext) -> Document | None:
        document = ctx.cluster.read(self.touches())
        return document if document is not None and claim_of(document.content) == ctx.claim else None
