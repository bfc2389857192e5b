"""The janitor: carries repairs out, a reset by its line in the kernel log, a reboot through the lab's keeper."""

from collections.abc import Mapping

from scenario_runner.lab.platform import maintenance
from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.clock import Clock, iso
from scenario_runner.lab.platform.cluster import Cluster, Node
from scenario_runner.lab.platform.detection import RESET_IDENTIFIER
from scenario_runner.lab.platform.place import Place
from scenario_runner.lab.platform.reboot import Ask, RebootCall
from scenario_runner.lab.platform.times import Times

_ERROR_LEVEL = 3


class Janitor:
    """`busy` is True while a repair is open, as far as the last step saw."""

    def __init__(self, cluster: Cluster, places: Mapping[str, Place], ask: Ask, times: Times, clock: Clock) -> None:
        self._cluster = cluster
        self._places = places
        self._ask = ask
        self._times = times
        self._clock = clock
        self._since: dict[str, float] = {}
        self._calls: dict[str, RebootCall] = {}
        self.busy = True  # until looked

    def step(self, nodes: Mapping[str, Node]) -> None:
        """Take every open repair one step further. Raises ApiTrouble."""
        open_now = [(kind, one) for kind in maintenance.KINDS for one in self._open(kind)]
        for kind, one in open_now:
            name = str(one.get("spec", {}).get("nodeName", ""))
            node, place = nodes.get(name), self._places.get(name)
            if node is None or place is None:
                self._finish(kind, one, "NodeNotFound", f"there is no node '{name}'", good=False)
            elif kind is maintenance.RESET:
                self._reset(one, place)
            else:
                self._reboot(one, place, node)
        self.busy = bool(open_now)

    def _open(self, kind: maintenance.Kind) -> list[Json]:
        found = self._cluster.maintenances(kind.plural)
        return [one for one in found if maintenance.verdict(kind, one) is None]

    def _age(self, one: Json) -> float:
        """Seconds since this process first saw the repair; a restart lets it take a little longer."""
        name = one["metadata"]["name"]
        return self._clock.monotonic() - self._since.setdefault(name, self._clock.monotonic())

    def _started(self, kind: maintenance.Kind, one: Json, status: Json) -> bool:
        if "startTime" in (one.get("status") or {}):
            return True
        started = {"startTime": iso(self._clock.now()), **status}
        self._cluster.set_maintenance_status(kind.plural, one["metadata"]["name"], started)
        return False

    def _reset(self, one: Json, place: Place) -> None:
        wanted = one["spec"].get("selector", {}).get("uuids") or []
        unknown = sorted(set(wanted) - {gpu.uuid for gpu in place.gpus})
        if unknown or not wanted:
            message = f"{place.node} has no GPU {', '.join(unknown)}" if unknown else "no GPU is named"
            self._finish(maintenance.RESET, one, "GPUNotFound", message, good=False)
            return
        if not self._started(maintenance.RESET, one, {}) or self._age(one) < self._times.reset:
            return
        for uuid in wanted:
            place.kernel_log.write(_ERROR_LEVEL, f"{RESET_IDENTIFIER}: GPU reset executed: {uuid}, success: true")
        self._finish(maintenance.RESET, one, "GPUResetSucceeded", "GPU reset completed successfully", good=True)

    def _reboot(self, one: Json, place: Place, node: Node) -> None:
        status = one.get("status") or {}
        # The boot id goes into the object first: after a crash of ours it tells whether the machine went down already.
        if not self._started(maintenance.REBOOT, one, {"bootID": place.boot_id}):
            self._age(one)
        elif place.boot_id != status["bootID"]:
            if node.is_up_in(place.boot_id):
                self._finish(maintenance.REBOOT, one, "Succeeded", "the node is ready again", good=True)
        elif self._age(one) >= self._times.reboot_limit:
            self._finish(maintenance.REBOOT, one, "Timeout", "the node did not come back in time", good=False)
        elif self._age(one) >= self._times.reboot and not _sent(status):
            self._send(one, place)

    def _send(self, one: Json, place: Place) -> None:
        name = one["metadata"]["name"]
        if name not in self._calls:
            self._calls[name] = self._ask(place.node)
        answer = self._calls[name].answer()
        if answer is None:
            return
        del self._calls[name]
        if answer == "ok":
            self._signal(one, good=True, reason="Succeeded", message="the machine was told to reboot")
        else:
            self._signal(one, good=False, reason="Failed", message=answer)

    def _signal(self, one: Json, *, good: bool, reason: str, message: str) -> None:
        condition = self._condition("SignalSent", reason, message, good=good)
        self._cluster.set_maintenance_status(
            maintenance.REBOOT.plural, one["metadata"]["name"], {"conditions": [condition]}
        )

    def _finish(self, kind: maintenance.Kind, one: Json, reason: str, message: str, *, good: bool) -> None:
        before = (one.get("status") or {}).get("conditions") or []
        condition = self._condition(kind.done, reason, message, good=good)
        status = {"conditions": [*before, condition], "completionTime": iso(self._clock.now())}
        self._cluster.set_maintenance_status(kind.plural, one["metadata"]["name"], status)

    def _condition(self, kind: str, reason: str, message: str, *, good: bool) -> Json:
        status = "True" if good else "False"
        now = iso(self._clock.now())
        return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}


def _sent(status: Json) -> bool:
    return any(one["type"] == "SignalSent" for one in status.get("conditions") or [])
