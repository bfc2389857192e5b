"""Takes back what a run left of which this machine knows nothing: by what the cluster remembers."""

import os
from collections.abc import Callable
from pathlib import Path

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.adapters.kubeconfig import in_cluster
from scenario_runner.app.agents import read_token
from scenario_runner.app.backend import Backend, connect, real
from scenario_runner.app.claiming import seat_in
from scenario_runner.app.left_runs import EndedRun, LeftRun, Say, not_taken_back, subjects_of, tell, to_take_back
from scenario_runner.app.place import Place
from scenario_runner.core.claims import RunCopy
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.ports import Agent
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine import recover as engine
from scenario_runner.engine.copies import is_open
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.records import replay_lines
from scenario_runner.engine.recover import Reach
from scenario_runner.engine.run_card import RunCard
from scenario_runner.errors import Refused, ScenarioRunnerError
from scenario_runner.lab import lab


class FarRuns:
    """The dead and living runs of one cluster that have something left, as that cluster remembers."""

    def __init__(self, place: Place, where: Backend) -> None:
        self._place = place
        self._where = where
        self._clock = SystemClock(Bell())

    @classmethod
    def of(cls, place: Place) -> "FarRuns | None":
        """None when the command line names no cluster and we are in none. Raise Refused for one out of reach."""
        if place.use_lab:
            kept = lab.find(place.lab_name)
            return None if kept is None else cls(place, connect(kept))
        if place.context is None and place.kubeconfig is None and in_cluster(os.environ) is None:
            return None
        return cls(place, real(place))

    def _seat(self, say: Say) -> Seat:
        return seat_in(self._where, self._clock, say)

    def left(self) -> list[RunCopy]:
        return [one for one in self._seat(lambda text: None).store.copies() if is_open(one, UNDOS)]

    def describe(self, copy: RunCopy) -> LeftRun:
        return LeftRun(copy.run_id, subjects_of(replay_lines(copy.promises.encode(), UNDOS)), "the cluster")

    def take_back(self, run_id: str, agree: Callable[[str], bool], say: Say, *, takeover: bool) -> EndedRun:
        try:
            seat = self._seat(say)
            read = engine.look_copy(seat, run_id)
            for line in to_take_back(read.past):
                say(f"{run_id}: {line}")
            if not agree(f"take this back on {self._where.words}?"):
                raise Refused(f"run {run_id} is left as it is")
            reach = Reach(self._clock, self._agent(read.card), self._where.cluster, seat, takeover)
            return tell(engine.recover_copy(read, reach), say)
        except ScenarioRunnerError as exc:
            return not_taken_back(run_id, exc, say)

    def _agent(self, card: RunCard) -> Agent:
        """As the command line says, else as the run reached them: a lab has no Service to find its agents by."""
        if self._place.agent.url is None and not card.context and card.agent_url:
            return HttpAgent(card.agent_url, read_token(Path(card.token_file)))
        return self._where.agent
