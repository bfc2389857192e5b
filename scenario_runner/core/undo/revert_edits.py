"""Takes edits of one Kubernetes object back, leaf by leaf, and leaves alone what somebody else changed since."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from scenario_runner.core.ports import Document, Edit, ObjectRef
from scenario_runner.core.step import Undo, UndoContext, UndoPhase
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
    Set each leaf that still has our value back to what it was.

    A leaf with a third value is left, with all three told. An object that is gone, or has another uid, has nothing
    of ours any more. Of LD_PRELOAD only our own element is taken out.
    """

    phase: ClassVar[UndoPhase] = UndoPhase.TEMPLATES

    undo: Literal["revert_edits"] = "revert_edits"
    api_version: str
    kind: str
    namespace: str = ""
    name: str
    uid: str
    edits: tuple[SavedEdit, ...]

    def take_back(self, ctx: UndoContext) -> str:
        for _ in range(_TRIES):
            document = self._read(ctx)
            if document is None:
                return f"{self.subject()} is gone"
            back = tuple(edit for edit in (_backward(document, one) for one in self.edits) if edit is not None)
            if not back:
                return f"{self.subject()} has nothing of ours"
            try:
                ctx.cluster.edit(document.ref, document.resource_version, back)
            except TargetRefused as exc:
                if exc.code != "Conflict":
                    raise
            else:
                return f"{self.subject()} is as it was: {len(back)} of {len(self.edits)} values set back"
        raise TargetUnreachable(f"{self.subject()} changed under our hands {_TRIES} times")

    def leftover(self, ctx: UndoContext) -> str | None:
        document = self._read(ctx)
        if document is None:
            return None
        left = [text for text in (_left(document, edit) for edit in self.edits) if text]
        return f"{self.subject()}: " + "; ".join(left) if left else None

    def subject(self) -> str:
        return f"edits of {self.kind} " + (f"{self.namespace}/{self.name}" if self.namespace else self.name)

    def _read(self, ctx: UndoContext) -> Document | None:
        document = ctx.cluster.read(ObjectRef(self.api_version, self.kind, self.namespace, self.name, self.uid))
        return None if document is None or document.ref.uid != self.uid else document


def leaf(content: Any, path: tuple[str, ...]) -> Any:
    """The value at a keyed path ("containers", "name=main", "image"); None when it is not there."""
    for part in path:
        key, keyed, wanted = part.partition("=")
        if isinstance(content, list) and keyed:
            content = next((one for one in content if isinstance(one, Mapping) and one.get(key) == wanted), None)
        elif isinstance(content, Mapping):
            content = content.get(part)
        else:
            return None
    return content


def _backward(document: Document, edit: SavedEdit) -> Edit | None:
    now = leaf(document.content, edit.path)
    if _is_preload(edit.path):
        rest = _without_ours(now, edit)
        return None if rest == now else Edit(edit.path, now, rest)
    return Edit(edit.path, edit.became, edit.was) if now == edit.became != edit.was else None


def _left(document: Document, edit: SavedEdit) -> str | None:
    now = leaf(document.content, edit.path)
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
