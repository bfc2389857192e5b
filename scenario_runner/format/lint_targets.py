"""Lint of names: do targets, guards and steps refer to targets that exist, and to the right kind of target?"""

from scenario_runner.core.step import TargetKinds
from scenario_runner.format.entries import StepEntry
from scenario_runner.format.findings import Findings
from scenario_runner.format.references import references
from scenario_runner.format.scenario import PHASES, Scenario
from scenario_runner.format.sentences import Loc, did_you_mean
from scenario_runner.format.targets import Declared, GpuOfDeclared


def lint_targets(scenario: Scenario, findings: Findings) -> None:
    """Note every reference to a target that can not work, and targets that nothing refers to."""
    _Targets(scenario, findings).look()


class _Targets:
    def __init__(self, scenario: Scenario, findings: Findings) -> None:
        self._scenario = scenario
        self._findings = findings
        self._used: set[str] = set()

    def look(self) -> None:
        for name, target in self._scenario.targets.items():
            self._found_through(name, target)
        for name in self._scenario.header.guards.min_ready:
            self._refer(("guards", "min_ready", name), name, ("workload",))
        for phase in PHASES.values():
            for entry, _ in self._scenario.entries(phase):
                self._step(entry)
        for name in self._scenario.targets:
            if name not in self._used:
                self._findings.warn(("targets", name), "nothing refers to this target")

    def _step(self, entry: StepEntry) -> None:
        for one in references(entry.step) if entry.step is not None else ():
            if isinstance(one.meaning, TargetKinds):
                self._refer((*entry.loc, entry.kind, *one.loc), one.value, one.meaning.kinds)

    def _found_through(self, name: str, target: Declared) -> None:
        used = target.uses()
        if used is None:
            return
        wanted = "node" if isinstance(target, GpuOfDeclared) and target.by().node is not None else "workload"
        key = next(iter(target.model_fields_set & {"node_of", "gpu_of", "pod"}))
        loc: Loc = ("targets", name, key)
        self._refer(loc if isinstance(getattr(target, key), str) else (*loc, wanted), used, (wanted,))

    def _refer(self, loc: Loc, name: str, kinds: tuple[str, ...]) -> None:
        target = self._scenario.targets.get(name)
        if target is None:
            hint = did_you_mean(name, self._scenario.targets) or ": the scenario declares none"
            self._findings.error(loc, f"there is no target {name}{hint}", about=name)
            return
        self._used.add(name)
        if target.kind not in kinds:
            self._findings.error(loc, f"{name} is a {target.kind}, and this needs a {' or a '.join(kinds)}")
