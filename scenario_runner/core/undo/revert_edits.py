"""Takes edits of one Kubernetes object back, leaf by leaf, and leaves alone what somebody else changed since."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from scenario_runner.core.edits import CLAIM, CLAIM_PATH, claim_of, edited, emptied, leaf, missing_parents
from scenario_runner.core.ports import Document, Edit, ObjectRef
from scenario_runner.core.rollouts import unfinished
from scenario_runner.core.step import Act, Undo, UndoContext, UndoPhase
from scenario_runner.errors import TargetRefused, TargetUnreachable

_TRIES = 3  # an object that changes under our hands is read again; one that never holds still is tried later


class SavedEdit(BaseModel):
    """One leaf as it was and as it became; null stands for "not there"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: tuple[str, ...]
    was: Any = None
    became: Any = None


class RevertEdits(Undo):
    """
    Set each leaf that still has our value back to what it was, and take our claim off, in one request.

    A leaf with a third value is left, with all three told, and so is the claim. An object that is gone, has another
    uid or does not carry our claim has nothing of ours. Of LD_PRELOAD only our own element is taken out.
    """

    phase: ClassVar[UndoPhase] = UndoPhase.TEMPLATES

    undo: Literal["revert_edits"] = "revert_edits"
    api_version: str
    kind: str
    namespace: str = ""
    name: str
    uid: str
    edits: tuple[SavedEdit, ...]
    made: tuple[tuple[str, ...], ...] = ()  # parents that the edits create: gone again once they are empty
    late: tuple[tuple[str, ...], ...] = ()  # paths of edits that are set back only once the rollout back is over

    @classmethod
    def of(cls, document: Document, edits: Iterable[Edit], late: Iterable[Edit] = ()) -> Self:
        """
        The undo of edits that are about to be made to an object that was just read.

        The pods that `late` concerns are to be replaced in its way as well when the other edits are taken back.
        """
        last = tuple(late)
        wanted, ref = (*edits, *last), document.ref
        return cls(
            api_version=ref.api_version,
            kind=ref.kind,
            namespace=ref.namespace,
            name=ref.name,
            uid=ref.uid,
            edits=tuple(SavedEdit(path=one.path, was=one.was, became=one.became) for one in wanted),
            made=missing_parents(document.content, [*wanted, Edit(CLAIM_PATH, None, "")]),
            late=tuple(one.path for one in last),
        )

    def make(self, act: Act) -> Document:
        """Make the very edits that this promises to take back: the claim first, then all of them in one request."""
        act.cluster.claim(self.touches(), act.claim)
        forward = tuple(Edit(one.path, one.was, one.became) for one in self.edits)
        return act.cluster.edit_claimed(self.touches(), act.claim, forward)

    def take_back(self, ctx: UndoContext) -> str:
        for _ in range(_TRIES):
            document = self._read(ctx)
            if document is None:
                return f"{self.subject()} is gone"
            try:
                return self._set_back(document, ctx)
            except TargetRefused as exc:
                if exc.code != "Conflict":
                    raise
        raise TargetUnreachable(f"{self.subject()} changed under our hands {_TRIES} times")

    def _set_back(self, document: Document, ctx: UndoContext) -> str:
        if waits := self._early(document, ctx):
            raise TargetUnreachable(waits)  # the late edits are tried again
        back = self._backward(document, ctx.claim)
        if not back:
            self._bolt(document, ctx)
            return f"{self.subject()} has nothing of ours"
        ctx.cluster.edit(document.ref, document.resource_version, tuple(back))
        values = sum(edit.path != CLAIM_PATH and edit.path not in self.made for edit in back)
        if values == 0:  # only the claim had come so far
            return f"{self.subject()} has nothing of ours"
        if self.late:
            return f"{self.subject()} is as it was, and so is how it rolls out, since its pods were replaced"
        return f"{self.subject()} is as it was: {values} of {len(self.edits)} values set back"

    def _early(self, document: Document, ctx: UndoContext) -> str:
        """Take all but the late edits back; why the late ones have to wait, "" when they need not."""
        if claim_of(document.content) != ctx.claim or not any(_backward(document, one) for one in self._last):
            return ""
        first = [one for one in (_backward(document, one) for one in self.edits if one.path not in self.late) if one]
        if first:
            back = emptied(document.content, first, self.made)
            document = ctx.cluster.edit(document.ref, document.resource_version, tuple(back))
        lacks = unfinished(document) or ("it has just begun" if first else "")
        return f"{self.subject()}: rolling back: {lacks}" if lacks else ""

    @property
    def _last(self) -> list[SavedEdit]:
        return [one for one in self.edits if one.path in self.late]

    def leftover(self, ctx: UndoContext) -> str | None:
        document = self._read(ctx)
        if document is None:
            return None
        left = self._left(document, ctx.claim)
        return f"{self.subject()}: " + "; ".join(left) if left else None

    def subject(self) -> str:
        return f"edits of {self.kind} " + (f"{self.namespace}/{self.name}" if self.namespace else self.name)

    def touches(self) -> ObjectRef:
        return ObjectRef(self.api_version, self.kind, self.namespace, self.name, self.uid)

    def differences(self) -> tuple[str, ...]:
        return tuple(f"{'.'.join(edit.path)}: {edit.became!r} -> {edit.was!r}" for edit in self.edits)

    def _read(self, ctx: UndoContext) -> Document | None:
        document = ctx.cluster.read(self.touches())
        return None if document is None or document.ref.uid != self.uid else document

    def _backward(self, document: Document, claim: str) -> list[Edit]:
        if claim_of(document.content) != claim:
            return []
        back = [edit for edit in (_backward(document, one) for one in self.edits) if edit is not None]
        after = edited(document.content, back)
        if claim and not any(_left(after, one) for one in self.edits):
            back.append(Edit(CLAIM_PATH, claim, None))
        return emptied(document.content, back, self.made) if back else []

    def _left(self, document: Document, claim: str) -> list[str]:
        found = claim_of(document.content)
        if found == claim:
            left = [text for text in (_left(document.content, edit) for edit in self.edits) if text]
            if left and claim:
                left.append(f"remove its annotation {CLAIM} if it shall stay like that")
            elif claim:
                left.append("our claim is still on it")
        else:
            left = [] if found else [text for text in (_unclaimed(document, edit) for edit in self.edits) if text]
        if not left and (lacks := unfinished(document)):
            left.append(f"rolling back: {lacks}")
        return left

    def _bolt(self, document: Document, ctx: UndoContext) -> None:
        """
        Make a claim that is still on its way come too late: it only lands on the version that it saw.

        The object gets a new version by our claim being put on and taken off again. One with a claim of somebody else
        needs none: ours is refused there.
        """
        if not ctx.claim or claim_of(document.content):
            return
        on = ctx.cluster.edit(document.ref, document.resource_version, (Edit(CLAIM_PATH, None, ctx.claim),))
        off = [Edit(CLAIM_PATH, ctx.claim, None)]
        off = emptied(on.content, off, missing_parents(document.content, [Edit(CLAIM_PATH, None, ctx.claim)]))
        ctx.cluster.edit(on.ref, on.resource_version, tuple(off))


def _backward(document: Document, edit: SavedEdit) -> Edit | None:
    now = leaf(document.content, edit.path)
    if _is_preload(edit.path):
        rest = _without_ours(now, edit)
        return None if rest == now else Edit(edit.path, now, rest)
    return Edit(edit.path, edit.became, edit.was) if now == edit.became != edit.was else None


def _unclaimed(document: Document, edit: SavedEdit) -> str | None:
    """Our claim and our values come and go together: whoever took off the claim alone must look at the values."""
    if _backward(document, edit) is None:
        return None
    return f"{'.'.join(edit.path)} still is what we made of it, but somebody took our claim off: was {edit.was!r}"


def _left(content: Mapping[str, Any], edit: SavedEdit) -> str | None:
    now = leaf(content, edit.path)
    if now == edit.was or (_is_preload(edit.path) and _without_ours(now, edit) == now):
        return None
    return f"{'.'.join(edit.path)} is {now!r}, was {edit.was!r}, became {edit.became!r}"


def _is_preload(path: tuple[str, ...]) -> bool:
    return "name=LD_PRELOAD" in path


def _without_ours(now: Any, edit: SavedEdit) -> Any:
    """LD_PRELOAD (or its whole env entry) without the elements that we added; None when nothing remains."""
    if isinstance(now, Mapping):
        rest = _without_ours(now.get("value"), edit)
        return now if rest == now.get("value") else None if rest is None else {**now, "value": rest}
    if not isinstance(now, str):
        return now
    ours = set(_elements(edit.became)) - set(_elements(edit.was))
    kept = [one for one in _elements(now) if one not in ours]
    return now if len(kept) == len(_elements(now)) else ":".join(kept) or None


def _elements(value: Any) -> list[str]:
    text = value.get("value") if isinstance(value, Mapping) else value
    return [one for one in text.replace(" ", ":").split(":") if one] if isinstance(text, str) else []
