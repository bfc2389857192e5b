"""What a scenario that can be read still gets wrong: it could never work or be green by accident, or it is odd."""

from collections.abc import Iterator

from scenario_runner.core.outcome import Phase, Role
from scenario_runner.format.entries import StepEntry
from scenario_runner.format.findings import Finding, Findings
from scenario_runner.format.lint_loads import lint_loads
from scenario_runner.format.lint_targets import lint_targets
from scenario_runner.format.scenario import PHASES, Scenario


def lint(scenario: Scenario) -> list[Finding]:
    """Everything that is wrong (errors) or odd (warnings), in the order of the file; of a torn one what is certain."""
    findings = Findings(scenario)
    _lint_ids(scenario, findings)
    lint_targets(scenario, findings)
    lint_loads(scenario, findings)
    _lint_pins(scenario, findings)
    if not scenario.torn:
        _lint_verdict(scenario, findings)
    return findings.sorted()


def _lint_ids(scenario: Scenario, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for entry in _with_groups(scenario):
        name = entry.common.id
        if name is None:
            continue
        if name in seen:
            findings.error((*entry.loc, "id"), f"the id {name} is used before, in line {seen[name]}")
        seen.setdefault(name, entry.mark.line)


def _with_groups(scenario: Scenario) -> Iterator[StepEntry]:
    for phase in PHASES.values():
        known: set[int] = set()
        for entry, around in scenario.entries(phase):
            for group in around:
                if id(group) not in known:
                    known.add(id(group))
                    yield group
            yield entry


def _lint_pins(scenario: Scenario, findings: Findings) -> None:
    """Pods that a step keeps on their nodes are waited for elsewhere: they come only once that is taken back."""
    pinned: dict[str, int] = {}
    for entry, _ in scenario.entries(Phase.STEPS):
        if entry.step is None:
            continue
        target, away_from = getattr(entry.step, "target", ""), getattr(entry.step, "away_from", None)
        if away_from is not None and target in pinned:
            text = f"{target} is pinned to its nodes in line {pinned[target]}: its pods can not leave {away_from}"
            findings.warn((*entry.loc, entry.kind, "away_from"), text)
        if (workload := entry.step.pins()) is not None:
            pinned[workload] = entry.mark.line


def _lint_verdict(scenario: Scenario, findings: Findings) -> None:
    """A scenario that can not pass, or that passes whatever the cluster does."""
    entries = [entry for phase in (Phase.STEPS, Phase.ALWAYS, Phase.AFTER) for entry, _ in scenario.entries(phase)]
    faults = [at for at, entry in enumerate(entries) if _role(entry) is Role.FAULT]
    judges = [at for at, entry in enumerate(entries) if _role(entry) is Role.ASSERTION]
    if scenario.header.control:
        for at in faults:
            findings.error(entries[at].loc, "a control has no fault: take this out, or control: true")
        if not judges and not any(_role(entry) is Role.WAIT for entry in entries):
            findings.error(("steps",), "nothing is asserted, so this would pass whatever happens")
        return
    if not faults:
        findings.error(("steps",), "no step injects a fault, so this can not pass: add one, or write control: true")
    elif not judges or max(judges) < max(faults):
        findings.error(entries[faults[-1]].loc, "nothing judges this fault: add an assertion after it")


def _role(entry: StepEntry) -> Role | None:
    return None if entry.step is None else entry.step.part
