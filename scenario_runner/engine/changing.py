"""`ctx.changing(undo)`, the only way to change the world: promise, fence check, act, then `done` or `unknown`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from scenario_runner.core.ports import Agent, Cluster
from scenario_runner.core.step import Act, Undo
from scenario_runner.engine.records import Promise
from scenario_runner.engine.undoing import claim_text
from scenario_runner.engine.world import World
from scenario_runner.errors import StepBroken, TargetRefused, TargetUnreachable


class _Witness:
    """Passes every call on and remembers whether one that changes the world may have been carried out."""

    def __init__(self, port: type, real: object) -> None:
        self._port = port
        self._real = real
        self.acted = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if not getattr(getattr(self._port, name, None), "changes_the_world", False):
            return method

        def act(*args: Any, **kwargs: Any) -> Any:
            try:
                answer = method(*args, **kwargs)
            except TargetRefused:
                raise
            except TargetUnreachable as exc:
                self.acted = self.acted or exc.sent
                raise
            except BaseException:
                self.acted = True
                raise
            self.acted = True
            return answer

        return act


@contextmanager
def changing(
    world: World, undo: Undo, step_id: str, scope: tuple[str, ...], acting: Callable[[], None]
) -> Iterator[Act]:
    """
    Yield the ports that change something. `acting` is told the moment before.

    A promise is withdrawn only when nothing can have happened: every act was refused or never sent.
    """
    promise = world.journal.promise(undo, step_id, scope)
    _copy(world, promise)
    agent, cluster = _Witness(Agent, world.agent), _Witness(Cluster, world.cluster)
    acting()
    try:
        yield Act(cast(Agent, agent), cast(Cluster, cluster), claim_text(world.journal.run, promise.seq))
    except BaseException as exc:
        if isinstance(exc, Exception) and not agent.acted and not cluster.acted:
            world.journal.mark(promise.seq, "withdrawn", f"nothing was changed: {exc}")
        else:
            world.journal.mark(promise.seq, "unknown", str(exc))
        raise
    world.journal.mark(promise.seq, "done")


def _copy(world: World, promise: Promise) -> None:
    try:
        world.claim.promised(world.journal.promises)
        world.claim.check()
    except StepBroken as exc:
        world.journal.mark(promise.seq, "withdrawn", str(exc))
        raise
