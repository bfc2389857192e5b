"""Lint of loads and windows: is what is judged ever sent, is what is joined running, is what is waited for in time?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scenario_runner.core.outcome import Phase, Role
from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.quantities import Ratio, format_seconds
from scenario_runner.core.step import LoadName, Step, StepName
from scenario_runner.format.entries import RESERVED, StepEntry
from scenario_runner.format.findings import Findings
from scenario_runner.format.profile import platform_profile
from scenario_runner.format.references import Reference, references
from scenario_runner.format.scenario import Scenario
from scenario_runner.format.sentences import Loc, did_you_mean

_LEAST = 20  # requests that a verdict needs if nobody says otherwise


@dataclass
class _Load:
    """A load, while the steps are walked through in their order."""

    entry: StepEntry
    began: float  # seconds since the first step, if every step takes as long as it may
    ended_in: int | None = None  # line of the join, or of the load itself when it is waited for
    faults: set[str] = field(default_factory=set)  # ids (or places) of the faults that it was there for
    after_fault: bool = False  # it began when a fault had been injected already


def lint_loads(scenario: Scenario, findings: Findings) -> None:
    """Note what can not work about loads, joins, windows and references to steps."""
    walk = _Walk(scenario, findings, platform_profile(scenario.header.platform))
    for phase in (Phase.HEALTH, Phase.STEPS, Phase.ALWAYS, Phase.AFTER):
        for entry, _ in scenario.entries(phase):
            walk.step(entry, phase)
    walk.ending()


class _Walk:
    def __init__(self, scenario: Scenario, findings: Findings, profile: PlatformProfile) -> None:
        self._scenario = scenario
        self._findings = findings
        self._profile = profile
        self._loads: dict[str, _Load] = {}
        self._faults: dict[str, StepEntry] = {}
        self._steps: dict[str, StepEntry] = {}
        self._elapsed = 0.0
        self._lines = {
            entry.common.id: entry.mark.line
            for phase in scenario.steps
            for entry, _ in scenario.entries(phase)
            if entry.common.id
        }

    def step(self, entry: StepEntry, phase: Phase) -> None:
        step = entry.step
        assert step is not None, "groups are expanded"
        at: Loc = (*entry.loc, entry.kind)
        for one in references(step):
            self._reference(entry, one, (*at, *one.loc))
        self._timeout(entry, step)
        self._window(entry, step, at)
        peers: Mapping[str, Step] = {name: known.step for name, known in self._steps.items() if known.step}
        for text in step.check(peers) if not self._scenario.torn else ():
            self._findings.error(at, text)
        self._remember(entry, step, phase)

    def ending(self) -> None:
        for name, load in self._loads.items():
            if load.ended_in is None:
                self._findings.warn(load.entry.loc, f"nothing joins {name}: it is ended when the steps are over")
        for at, rule in enumerate(self._scenario.header.abort_when):
            if rule.load not in self._loads:
                text = f"there is no load {rule.load}{did_you_mean(rule.load, self._loads)}"
                self._findings.error(("abort_when", at, "load"), text, about=rule.load)

    # References

    def _reference(self, entry: StepEntry, one: Reference, loc: Loc) -> None:
        if isinstance(one.meaning, LoadName):
            self._load(entry, one, loc)
        elif isinstance(one.meaning, StepName):
            named = self._steps.get(one.value)
            if named is None:
                known = [name for name, step in self._steps.items() if step.kind in one.meaning.kinds]
                self._findings.error(loc, self._missing("step", one.value, known), about=one.value)
            elif named.kind not in one.meaning.kinds:
                kinds = " or ".join(one.meaning.kinds)
                self._findings.error(loc, f"{one.value} is a {named.kind}, and this needs an earlier {kinds}")

    def _missing(self, what: str, name: str, known: list[str]) -> str:
        if name in self._lines and name not in self._steps:
            return f"{name} comes later, in line {self._lines[name]}"
        hint = did_you_mean(name, known) or ": nothing of that kind has an id before"
        return f"there is no {what} {name} before this step{hint}"

    def _load(self, entry: StepEntry, one: Reference, loc: Loc) -> None:
        load = self._loads.get(one.value)
        if load is None:
            self._findings.error(loc, self._missing("load", one.value, list(self._loads)), about=one.value)
        elif entry.kind == "join":
            self._join(entry, load, one.value, loc)
        elif entry.step is not None and entry.step.role is Role.WAIT and load.ended_in is not None:
            text = f"{one.value} has ended before (line {load.ended_in}), and this waits for requests to come"
            self._findings.error(loc, text)

    def _join(self, entry: StepEntry, load: _Load, name: str, loc: Loc) -> None:
        if not load.entry.common.background:
            self._findings.error(loc, f"{name} does not run in the background: there is nothing to join")
        elif load.ended_in is not None:
            self._findings.error(loc, f"{name} was joined before, in line {load.ended_in}")
        elif entry.common.timeout is not None and load.entry.step is not None and not load.entry.step.endless():
            left = load.entry.step.longest(0) - (self._elapsed - load.began)
            if entry.common.timeout < left:
                given = format_seconds(entry.common.timeout)
                text = f"{name} still takes {format_seconds(left)} here: a timeout of {given} is too short"
                self._findings.error((*entry.loc, "timeout"), text)
        load.ended_in = load.ended_in or entry.mark.line

    # Times

    def _timeout(self, entry: StepEntry, step: Step) -> None:
        timeout, least = entry.common.timeout, step.longest(0)
        if step.endless() and not entry.common.background:
            text = f"{entry.kind} without an end waits forever: give it one, or background: true and a later join"
            self._findings.error((*entry.loc, entry.kind), text)
        elif timeout is not None and timeout < least:
            given, takes = format_seconds(timeout), format_seconds(least)
            last = ", the time for its last request included" if step.role is Role.LOAD else ""
            text = f"a timeout of {given} is shorter than the {takes} that this step takes{last}"
            self._findings.error((*entry.loc, "timeout"), text)

    # Windows

    def _window(self, entry: StepEntry, step: Step, at: Loc) -> None:
        during, load = getattr(step, "during", None), self._loads.get(str(getattr(step, "load", "")))
        if during is not None:
            if during not in (*RESERVED, *self._faults):
                known = [*RESERVED, *(name for name in self._faults if "." not in name)]
                unknown = f"there is no window {during}{did_you_mean(str(during), known)}"
                self._findings.error((*at, "during"), unknown, about=str(during))
            elif load is not None and (text := self._empty_window(str(during), load, str(getattr(step, "load", "")))):
                self._findings.error((*at, "during"), text)
        if load is not None and load.entry.step is not None and step.role is Role.ASSERTION:
            sent, least = planned_requests(load.entry.step), needed_requests(step)
            if sent is not None and sent < least:
                name = load.entry.common.id
                self._findings.error(
                    at, f"a verdict needs {least} requests, and {name} sends {sent}: give min_requests"
                )

    def _empty_window(self, during: str, load: _Load, name: str) -> str | None:
        if self._scenario.torn:
            return None
        if not self._faults:
            return f"no fault was injected before this step, so there is no window {during}"
        if during == "baseline":
            return f"{name} began after the fault, so it has no baseline" if load.after_fault else None
        met = load.faults if during in RESERVED else load.faults & {during}
        return None if met else f"{name} had ended (line {load.ended_in}) when the fault was injected"

    def _remember(self, entry: StepEntry, step: Step, phase: Phase) -> None:
        name = entry.common.id or ""
        if step.part is Role.FAULT:
            fault = name or f"{entry.loc}."
            self._faults[fault] = entry
            for load in self._loads.values():
                if load.ended_in is None:
                    load.faults.add(fault)
        if step.role is Role.LOAD:
            self._begin(entry, name, phase)
        if name:
            self._steps[name] = entry
        if not entry.common.background:
            timeout = entry.common.timeout if entry.common.timeout is not None else step.patience(self._profile)
            self._elapsed += step.longest(timeout)

    def _begin(self, entry: StepEntry, name: str, phase: Phase) -> None:
        if entry.common.background and not name:
            self._findings.error(entry.loc, "a load in the background needs an id, so that it can be joined and judged")
        if name and phase is not Phase.HEALTH:
            ended = None if entry.common.background else entry.mark.line
            self._loads[name] = _Load(entry, self._elapsed, ended, set(self._faults), bool(self._faults))


def _by_alias(step: Step) -> dict[str, object]:
    return {field.alias or name: getattr(step, name) for name, field in type(step).model_fields.items()}


def planned_requests(load: Step) -> int | None:
    """How many requests a load will send; None when it is open-ended."""
    values = _by_alias(load)
    rate, every, count, lasts = (values.get(key) for key in ("rate", "every", "count", "for"))
    limits = [count] if isinstance(count, int) else []
    gap = every if isinstance(every, float) else 1 / rate if isinstance(rate, float) else None
    if isinstance(lasts, float) and gap is not None:
        limits.append(int(lasts / gap) + 1)
    return min(limits, default=None)


def needed_requests(assertion: Step) -> int:
    """How many requests an assertion needs for a verdict."""
    values = _by_alias(assertion)
    given, ratio = values.get("min_requests"), values.get("ratio")
    if isinstance(given, int):
        return given
    if isinstance(ratio, Ratio) and ratio.minimum is not None:
        return ratio.minimum
    return 100 if values.get("p99") is not None else _LEAST
