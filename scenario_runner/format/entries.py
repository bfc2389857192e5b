"""One entry of `steps`: exactly one kind with its own fields, and common keys beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from scenario_runner.core.bounds import shown
from scenario_runner.core.outcome import Phase
from scenario_runner.core.quantities import Seconds
from scenario_runner.core.step import Step
from scenario_runner.format.sentences import Loc, Reader, did_you_mean
from scenario_runner.format.yaml_core import Entries, Entry, Items, Mark, Scalar, Tree, plain
from scenario_runner.steps.group import Group

Kinds = Mapping[str, type[Step]]

ID = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RESERVED = ("fault", "baseline", "recovery")  # `during:` means windows by these words
NOT_YET = ("use", "for_each", "matrix")


class RetrySpec(BaseModel):
    """How often to try, and how long to wait in between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(ge=2, le=100, description="How often at most, the first time included.")
    every: Seconds = Field(description="How long to wait before the next attempt.")


class Common(BaseModel):
    """The keys that may stand beside any kind of step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = Field(default=None, pattern=ID, description="How other steps refer to this one.")
    name: str | None = Field(default=None, min_length=1, description="What people read; the kind if left out.")
    timeout: Seconds | None = Field(default=None, description="How long the step may take.")
    when: bool = Field(default=True, description="The step is skipped when this is false.")
    retry: RetrySpec | None = Field(default=None, description="Try again; for reads and requests only.")
    background: bool = Field(default=False, description="Go on with the next step while this one runs.")
    continue_on_failure: bool = Field(default=False, description="Go on with the next step when this one fails.")


COMMON = tuple(Common.model_fields)


@dataclass(frozen=True)
class StepEntry:
    """A step as it stands in the file; a group has `inner` entries and no step of its own."""

    kind: str
    mark: Mark
    loc: Loc
    tree: Tree  # the kind's value
    common: Common
    step: Step | None = None
    inner: "tuple[StepEntry, ...]" = ()


def read_entries(tree: Tree, loc: Loc, phase: Phase, kinds: Kinds, reader: Reader) -> tuple[StepEntry, ...]:
    """The entries of a list of steps; problems go to the reader."""
    if not isinstance(tree, Items):
        reader.refuse(tree.mark, loc, f"expected a list of steps, found {shown(plain(tree))}")
        return ()
    found = [_Entry(item, (*loc, at), phase, kinds, reader).read() for at, item in enumerate(tree.items)]
    return tuple(entry for entry in found if entry is not None)


@dataclass(frozen=True)
class _Entry:
    tree: Tree
    loc: Loc
    phase: Phase
    kinds: Kinds
    reader: Reader

    def read(self) -> StepEntry | None:
        if not isinstance(self.tree, Entries):
            text = f"a step is a mapping with one kind, like 'pause: 5s'; found {shown(plain(self.tree))}"
            self.reader.refuse(self.tree.mark, self.loc, text)
            return None
        kind = self._kind(self.tree)
        common = self._common(self.tree)
        if kind is None or common is None:
            return None
        if kind.key == "group":
            return self._group(kind, common)
        step = self._step(kind)
        if step is None:
            return None
        self._check_place(kind, step, common)
        return StepEntry(kind.key, kind.mark, self.loc, kind.value, common, step)

    def _kind(self, tree: Entries) -> Entry | None:
        known = [entry for entry in tree.entries if entry.key in self.kinds or entry.key == "group"]
        others = [entry for entry in tree.entries if entry not in known and entry.key not in COMMON]
        for entry in others:
            text = self._stray(entry, known)
            self.reader.refuse(entry.mark, (*self.loc, entry.key) if known else self.loc, text)
        if len(known) > 1:
            names = " and ".join(entry.key for entry in known)
            self.reader.refuse(known[1].mark, self.loc, f"two kinds in one step: {names}; write a step for each")
            return None
        if not known and not others:
            self.reader.refuse(tree.mark, self.loc, "has no kind: a step does one thing, like 'pause: 5s'")
        fields = _field_names(self.kinds.get(known[0].key)) if known else []
        return known[0] if known and not any(entry.key in fields for entry in others) else None

    def _stray(self, entry: Entry, known: list[Entry]) -> str:
        if entry.key in NOT_YET:
            return f"'{entry.key}' is not there yet: write the steps out"
        if not known:
            return f"unknown kind '{entry.key}'{did_you_mean(entry.key, [*self.kinds, 'group'])}"
        fields = _field_names(self.kinds.get(known[0].key))
        if entry.key in fields:
            return f"belongs to {known[0].key}: indent it below that, or put it in its braces"
        return f"unknown key{did_you_mean(entry.key, COMMON)}"

    def _common(self, tree: Entries) -> Common | None:
        entries = tuple(entry for entry in tree.entries if entry.key in COMMON)
        common = self.reader.model(Common, Entries(tree.mark, entries), self.loc)
        if common is not None and common.id in RESERVED:
            mark = next(entry.value.mark for entry in entries if entry.key == "id")
            text = f"'{common.id}' is the name of a window of time: choose another id"
            self.reader.refuse(mark, (*self.loc, "id"), text)
        return common

    def _group(self, kind: Entry, common: Common) -> StepEntry | None:
        loc = (*self.loc, "group")
        if self.phase is not Phase.STEPS:
            self.reader.refuse(kind.mark, loc, f"a group can not stand in {self.phase}")
            return None
        if isinstance(kind.value, Entries) and (loop := kind.value.find("for_each")) is not None:
            self.reader.refuse(loop.mark, (*loc, "for_each"), "'for_each' is not there yet: write the steps out")
            return None
        for key in ("timeout", "retry", "background"):
            if getattr(common, key):
                self.reader.refuse(kind.mark, loc, f"a group has no {key}: give it to a step inside")
        if self.reader.model(Group, kind.value, loc) is None or not isinstance(kind.value, Entries):
            return None
        steps = kind.value.find("steps")
        assert steps is not None, "the model has it"
        inner = read_entries(steps.value, (*loc, "steps"), self.phase, self.kinds, self.reader)
        return StepEntry("group", kind.mark, self.loc, kind.value, common, None, inner)

    def _step(self, kind: Entry) -> Step | None:
        cls, loc = self.kinds[kind.key], (*self.loc, kind.key)
        data = plain(kind.value)
        if isinstance(kind.value, Scalar) and kind.value.value is None:
            data = {}
        elif not isinstance(kind.value, Entries):
            if cls.bare is None:
                first = next(iter(_field_names(cls)), "...")
                text = f"{kind.key} has no short form: write {kind.key}: {{{first}: ...}}"
                self.reader.refuse(kind.value.mark, loc, text)
                return None
            field = cls.model_fields[cls.bare]
            data = {field.alias or cls.bare: data}
        beside = dict.fromkeys(COMMON, f"stands beside {kind.key}, not inside it")
        return self.reader.data(cls, data, kind.value, loc, beside)

    def _check_place(self, kind: Entry, step: Step, common: Common) -> None:
        def refuse(key: str, text: str) -> None:
            entry = self.tree.find(key) if isinstance(self.tree, Entries) else None
            self.reader.refuse((entry or kind).mark, (*self.loc, key), text)

        if self.phase is not Phase.STEPS and not step.reads_only:
            refuse(kind.key, f"changes something, so it can not stand in {self.phase}: only reads and requests can")
        if common.retry is not None and not step.reads_only:
            refuse("retry", f"{kind.key} changes something: only reads and requests can be tried again")
        if common.background and not step.can_run_in_background:
            refuse("background", f"{kind.key} can not run in the background")
        if common.background and self.phase is not Phase.STEPS:
            refuse("background", f"nothing runs in the background in {self.phase}")


def _field_names(cls: type[Step] | None) -> list[str]:
    return [] if cls is None else [field.alias or name for name, field in cls.model_fields.items()]
