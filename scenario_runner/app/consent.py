"""What a person sees and agrees to before a real cluster is touched."""

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

from scenario_runner.app.backend import Backend
from scenario_runner.core.plan import Plan
from scenario_runner.engine.signals import Signals
from scenario_runner.errors import Refused, Stopped
from scenario_runner.format.guards import victims

_SLICE = 0.2  # seconds between looks whether a signal came


@dataclass(frozen=True)
class Consent:
    """How a person is asked; `given` beforehand (--yes) nobody is."""

    given: bool
    answers: TextIO
    say: Callable[[str], None]
    signals: Signals

    def obtain(self, plan: Plan, where: Backend) -> None:
        """Raise Refused without a yes, Stopped when a signal came instead. A lab is nobody's: it is not asked for."""
        if where.is_lab:
            return
        for line in notice(plan, where):
            self.say(line)
        if self.given:
            return
        if not self.answers.isatty():
            raise Refused("nobody can be asked on this terminal: add --yes if all of this is wanted")
        self.say("Type yes to go on:")
        if self._answer().strip().lower() != "yes":
            raise Refused("not agreed to: nothing was touched")

    def _answer(self) -> str:
        while self.signals.caught is None:
            if select.select([self.answers], [], [], _SLICE)[0]:
                return self.answers.readline()
        raise Stopped("interrupted before anything was touched")


def cluster_lines(where: Backend) -> Iterator[str]:
    """Which cluster; nothing about a lab."""
    if not where.is_lab:
        yield f"{where.words}, identity {where.identity}"
        yield where.agents


def notice(plan: Plan, where: Backend) -> Iterator[str]:
    """Which cluster, who is hit, what is changed and what follows from it."""
    yield plan.scenario
    yield from (f"  {line}" for line in cluster_lines(where))
    hit = dict.fromkeys(f"{one.what} on GPU {one.gpu} of {one.node.name}" for one in victims(plan.steps, plan.targets))
    for title, rows in (("victims", tuple(hit)), ("changes", plan.changes), ("consequences", plan.consequences)):
        yield f"  {title}:" + ("" if rows else " none")
        yield from (f"    {row}" for row in rows)
