"""How a step waits for the states of nodes: reached, now, stays, never."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.faulting import ALWAYS, since
from scenario_runner.core.holding import hold
from scenario_runner.core.node_words import HOPELESS, STATE, Meaning, known
from scenario_runner.core.outcome import Finding
from scenario_runner.core.quantities import format_seconds
from scenario_runner.core.step import Context
from scenario_runner.errors import DeadlineExceeded, StepBroken, StepFailed


def mode_of(**modes: str | None) -> str:
    """The one of `reached`, `now`, `stays`, `never` that is given; ValueError with a sentence for none or several."""
    given = [mode for mode, word in modes.items() if word is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(modes)}")
    return given[0]


@dataclass(frozen=True)
class NodeWait:
    """Nodes, and the word that one waits for. `since` is the id of the fault step from which on history counts."""

    ctx: Context
    nodes: Sequence[str]
    word: str
    meaning: Meaning
    since: str | None = None

    def reached(self) -> Finding:
        """Wait until each node has been so at any time since the fault."""
        self._until(lambda node: self._moment(node) is not None)
        moments = {node: self._moment(node) or 0.0 for node in self.nodes}
        begins = {node: since(self.ctx.run, node, self.since) for node in self.nodes}
        if any(begin == ALWAYS for begin in begins.values()):
            return Finding(f"{', '.join(self.nodes)}: {self.word}")
        seconds = {node: max(0.0, moments[node] - begins[node]) for node in self.nodes}
        text = ", ".join(f"{node} {self.word} {format_seconds(took)} after the fault" for node, took in seconds.items())
        return Finding(text, {"seconds_since_fault": max(seconds.values())})

    def now(self) -> Finding:
        """Wait until each node is so."""
        self._until(self._holds)
        return Finding(f"{', '.join(self.nodes)}: {self.word}")

    def stays(self, seconds: float) -> Finding:
        """Demand that each node is so, now and for a while."""

        def violated() -> str:
            ended = [node for node in self.nodes if not self._holds(node)]
            return f"{', '.join(ended)} did not stay {self.word}" if ended else ""

        self._hold(violated, seconds)
        return Finding(f"{', '.join(self.nodes)} stayed {self.word} for {format_seconds(seconds)}")

    def never(self, seconds: float) -> Finding:
        """Demand that no node has been so since the fault, nor gets so for a while."""

        def violated() -> str:
            became = [node for node in self.nodes if self._moment(node) is not None or self._is_already(node)]
            return f"{', '.join(became)} must never be {self.word}, and was" if became else ""

        self._hold(violated, seconds)
        return Finding(f"{', '.join(self.nodes)} was never {self.word}, watched for {format_seconds(seconds)}")

    def _moment(self, node: str) -> float | None:
        """When the node became so, for the first time since the fault; what a watch found at its start counts only
        where there was no fault."""
        begin = since(self.ctx.run, node, self.since)
        if self.word == "noticed":
            return self._noticed(node)
        for seen in self.ctx.observations.select("node", node, self.meaning.fact, begin):
            fresh = not seen.initial and self.meaning.after(seen.was)
            if self.meaning.holds(seen.value) and (fresh or begin == ALWAYS):
                return seen.at
        return None

    def _noticed(self, node: str) -> float | None:
        run = self.ctx.run
        own = [fault for fault in run.faults if fault.node == node and self.since in {None, fault.step_id}]
        if not own:
            raise StepBroken(f"no fault was injected on {node}: there is nothing to notice")
        if run.evidence(own[-1]) == "written":
            return None
        return self.ctx.clock.monotonic()

    def _holds(self, node: str) -> bool:
        if self.word == "noticed":
            return self._noticed(node) is not None
        return self.meaning.holds(self.ctx.observations.value("node", node, self.meaning.fact))

    def _is_already(self, node: str) -> bool:
        """It is so from before the fault; a node that was never ill is not what `healed` and `healthy` are about."""
        return self.meaning.after("") and self._holds(node)

    def _until(self, done: Callable[[str], bool]) -> None:
        """Wait until it is done for each node; the miss says what was expected of whom and what is known."""
        budget = self.ctx.deadline.left
        missing = list(self.nodes)

        def look() -> Look[None]:
            missing[:] = [node for node in self.nodes if not done(node)]
            for node in missing:
                self._give_up_if_hopeless(node)
            self.ctx.progress(f"waiting for {', '.join(missing)} to be {self.word}" if missing else self.word)
            return Look(not missing, "", None)

        try:
            wait_until(self.word, look, self.ctx.deadline)
        except DeadlineExceeded:
            sentences = [
                f"{self._missed(node)} within {format_seconds(budget)}; {self._known(node)}" for node in missing
            ]
            raise DeadlineExceeded(". ".join(sentences)) from None

    def _missed(self, node: str) -> str:
        return self.meaning.missed.format(node=node)

    def _known(self, node: str) -> str:
        return known(self.ctx.observations, node)

    def _give_up_if_hopeless(self, node: str) -> None:
        state = self.ctx.observations.value("node", node, STATE)
        if state and HOPELESS.get(self.word) == state:
            raise StepFailed(f"{self._missed(node)}: its state is {state}")

    def _hold(self, violated: Callable[[], str], seconds: float) -> None:
        hold(self.ctx, self.word, violated, seconds, watch="nodes", since=self.ctx.clock.monotonic())
