"""One container of a pod: started, probed, restarted with growing pauses, stopped."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.lab.kube import Json
from scenario_runner.lab.kubelet import stamps
from scenario_runner.lab.kubelet.environment import ConfigError
from scenario_runner.lab.kubelet.probes import Asked, read_probe, watch_probe
from scenario_runner.lab.kubelet.process import Command, Process
from scenario_runner.lab.times import Times

_READY_AFTER = (
    1.0  # seconds that a container without a readiness probe must have run: one that crashes at once never is
)
_HURRY = 0.1  # seconds between readiness probes while a container is not ready, as a real kubelet hurries then
_KILL_GRACE = 5.0  # seconds after a failed liveness probe


@dataclass(frozen=True)
class Surroundings:
    """What the pod gives its container: what to run now, and whom to tell."""

    command: Callable[[Json, list[str] | None], Command]  # the container's own command, or a probe's; ConfigError
    address: str
    times: Times
    changed: Callable[[], None]
    event: Callable[[str, str, str], None]  # type, reason, message


class Container:
    """`state` and `last` are the API's ContainerState."""

    def __init__(self, spec: Json, policy: str, around: Surroundings, before: Json | None) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.restarts = 0
        self.state: Json = {"waiting": {"reason": "ContainerCreating"}}
        self.last: Json = {}
        self.is_ready = False
        self.is_started = False
        self.is_over = False  # it will not run again
        self._policy = policy
        self._around = around
        self._stopping = False
        self._process: Process | None = None
        self._pause = 0.0
        self._asked = Asked(
            around.address,
            {port["name"]: port["containerPort"] for port in spec.get("ports") or [] if "name" in port},
            lambda argv: around.command(spec, argv),
        )
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: Json) -> None:
        """Go on after an earlier kubelet, whose processes are gone."""
        self.restarts, self.last = int(before["restartCount"]), before.get("lastState") or {}
        state = before.get("state") or {}
        if "terminated" in state:
            self._ended_before(state["terminated"])
        elif "running" in state:
            lost = {"exitCode": 255, "reason": "Unknown", "startedAt": state["running"].get("startedAt")}
            self._ended_before(lost | {"finishedAt": stamps.now(), "containerID": before.get("containerID", "")})
        elif self.last:
            self.restarts += 1

    def _ended_before(self, terminated: Json) -> None:
        if self._restarts_after(int(terminated["exitCode"])):
            self.last = {"terminated": terminated}
            self.restarts += 1
        else:
            self.state, self.is_over = {"terminated": terminated}, True

    async def run(self) -> None:
        """Until it is over, or `stop` was called."""
        while not self.is_over and not self._stopping:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            code, reason = await self._once()
            self._end(code, reason, ran=loop.time() - begun)
            if not self.is_over:
                await asyncio.sleep(self._pause)
                self.restarts += 1

    async def stop(self, grace: asyncio.Event, runner: asyncio.Task[None]) -> None:
        """TERM now, KILL when `grace` is set; returns when nothing of it runs."""
        self._stopping = True
        if self._process is None:
            runner.cancel()
        else:
            self._process.signal(signal.SIGTERM)
        waiter = asyncio.ensure_future(grace.wait())
        await asyncio.wait({runner, waiter}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        while not runner.done():
            if self._process is not None:
                self._process.signal(signal.SIGKILL)
            await asyncio.wait({runner}, timeout=1)

    def kill(self) -> None:
        """At once, without telling anybody: the machine goes down."""
        self._stopping = True
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    async def _once(self) -> tuple[int, str]:
        """Run one process to its end: exit code and reason."""
        try:
            self._process = Process(self._around.command(self.spec, None))
        except ConfigError as error:
            self._wait("CreateContainerConfigError", str(error))
            return -1, "ConfigError"
        except OSError as error:
            return 128, f"StartError: {error}"
        self.state = {"running": {"startedAt": stamps.now()}}
        self._around.event("Normal", "Started", f"Started container {self.name}")
        self._around.changed()
        probing = asyncio.ensure_future(self._probe(self._process))
        try:
            code = await self._process.wait()
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
            self._process = None
        return code, "Completed" if code == 0 else "Error"

    def _end(self, code: int, reason: str, ran: float) -> None:
        self.is_ready = self.is_started = False
        if code < 0:  # it never ran; the state says why
            self._pause = 1.0
            return
        short, _, message = reason.partition(": ")
        started = (self.state.get("running") or {}).get("startedAt") or stamps.now()
        ended: Json = {"exitCode": code, "reason": short, "startedAt": started, "finishedAt": stamps.now()}
        ended["containerID"] = self.container_id
        if message:
            ended["message"] = message
        if self._stopping or not self._restarts_after(code):
            self.state, self.is_over = {"terminated": ended}, True
        else:
            self._back_off(ended, ran)
        self._around.changed()

    def _back_off(self, ended: Json, ran: float) -> None:
        times = self._around.times
        first_crash = not self.last or ran >= times.backoff_reset
        if first_crash:
            self._pause = 0.0
        else:
            self._pause = min(max(2 * self._pause, times.backoff_first), times.backoff_limit)
        self.last = {"terminated": ended}
        what = f"back-off {self._pause:.3g}s restarting failed container={self.name}"
        self._wait("CrashLoopBackOff", what)
        if self._pause:
            self._around.event("Warning", "BackOff", what)

    def _restarts_after(self, code: int) -> bool:
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)

    def _wait(self, reason: str, message: str) -> None:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self._around.changed()

    async def _probe(self, process: Process) -> None:
        """Judge this one process; ends with it, so that no late answer revives a dead container."""
        if startup := read_probe(self.spec.get("startupProbe")):
            started = asyncio.Event()
            guard = asyncio.ensure_future(
                watch_probe(startup, self._asked, lambda ok, why: started.set() if ok else self._ill(process, why))
            )
            try:
                await started.wait()
            finally:
                guard.cancel()
        self.is_started = True
        self._around.changed()
        await asyncio.gather(self._probe_liveness(process), self._probe_readiness())

    async def _probe_liveness(self, process: Process) -> None:
        if liveness := read_probe(self.spec.get("livenessProbe")):
            await watch_probe(liveness, self._asked, lambda ok, why: None if ok else self._ill(process, why))

    async def _probe_readiness(self) -> None:
        readiness = read_probe(self.spec.get("readinessProbe"))
        if readiness is None:
            await asyncio.sleep(_READY_AFTER)
            self._set_ready(is_ready=True, why="")
        else:
            await watch_probe(
                readiness, self._asked, lambda ok, why: self._set_ready(is_ready=ok, why=why), until_well=_HURRY
            )

    def _set_ready(self, *, is_ready: bool, why: str) -> None:
        if not is_ready:
            self._around.event("Warning", "Unhealthy", f"Readiness probe failed: {why}")
        if self.is_ready != is_ready:
            self.is_ready = is_ready
            self._around.changed()

    def _ill(self, process: Process, why: str) -> None:
        self._around.event("Warning", "Unhealthy", f"Liveness probe failed: {why}")
        self._around.event("Normal", "Killing", f"Container {self.name} failed its probe, will be restarted")
        process.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(_KILL_GRACE, process.signal, signal.SIGKILL)

    @property
    def container_id(self) -> str:
        return f"process://{self._asked.address}/{self.name}/{self.restarts}"

    def status(self) -> Json:
        """The API's ContainerStatus."""
        has_run = "waiting" not in self.state or bool(self.last)
        return {
            "name": self.name,
            "image": self.spec.get("image", ""),
            "imageID": "",
            "containerID": self.container_id if has_run else "",
            "restartCount": self.restarts,
            "ready": self.is_ready,
            "started": self.is_started,
            "state": self.state,
            "lastState": self.last,
        }


def log_file(folder: Path, container: str, restart: int) -> Path:
    """Where the output of one run of a container is, below the pod's folder."""
    return folder / container / f"{restart}.log"
