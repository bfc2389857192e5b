"""Three nodes with two GPUs each, a kernel log file per node, a keeper that reboots, and time that a test moves."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.cluster import Node
from scenario_runner.lab.platform.inventory import Gpu
from scenario_runner.lab.platform.kernel_log import FileLog
from scenario_runner.lab.platform.place import Place
from scenario_runner.lab.platform.platform import Platform
from scenario_runner.lab.platform.states import LABEL
from scenario_runner.lab.platform.times import Times, scaled
from tests.lab.platform.fake_api import FakeApi

TICK = 0.1
XIDS_PATH = "/apis/janitor.dgxc.nvidia.com/v1alpha1"


class VirtualClock:
    """Starts at noon; only `pass_time` moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)


class FakeCall:
    """An order to reboot whose answer the test decides."""

    def __init__(self, answer: Callable[[], str | None]) -> None:
        self._answer = answer

    def answer(self) -> str | None:
        return self._answer()


class World:
    """`platform` is the stand-in as it runs now; `restart()` replaces it by a new one that knows only the cluster."""

    def __init__(self, folder: Path, times: Times | None = None) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.api = FakeApi()
        self.times = scaled(60) if times is None else times
        self.complaints: list[str] = []
        self.reboots: list[str] = []
        self.keeper: Callable[[str], str | None] = self.reboot
        self.nodes = [f"gpu-{number}" for number in (1, 2, 3)]
        for node in self.nodes:
            self._make_node(node)
        self.platform = self._start()

    # What happens on a node

    def gpu(self, node: str, index: int = 0) -> Gpu:
        number = node.removeprefix("gpu-")
        return Gpu(f"GPU-0000000{number}-0000-0000-0000-00000000000{index}", f"400{number}:{17 + index}:00")

    def log(self, node: str) -> Path:
        return self.folder / f"{node}.kmsg"

    def write(self, node: str, text: str, level: int = 4) -> None:
        FileLog(self.log(node)).write(level, text)

    def xid(self, node: str, xid: int, text: str = "GPU has fallen off the bus. id-1", index: int = 0) -> None:
        self.write(node, f"kernel: ;NVRM: Xid (PCI:{self.gpu(node, index).pci}): {xid}, {text}")

    def acknowledge(self, node: str, index: int = 0) -> None:
        uuid = self.gpu(node, index).uuid
        self.write(node, f"nvsentinel-gpu-reset: GPU reset executed: {uuid}, success: true", level=3)

    def reboot(self, node: str) -> str:
        """The machine goes down and comes up at once."""
        self.go_down(node)
        self.come_up(node)
        return "ok"

    def go_down(self, node: str) -> None:
        self.reboots.append(node)
        if self.log(node).exists():
            self.log(node).write_text("")
        (self.folder / f"{node}.boot").write_text(f"boot-{len(self.reboots)}-{node}\n")

    def come_up(self, node: str) -> None:
        raw = self.api.objects[f"/api/v1/nodes/{node}"]
        raw["status"]["nodeInfo"]["bootID"] = (self.folder / f"{node}.boot").read_text().strip()

    def add_pod(self, node: str, name: str, namespace: str = "dynamo", owner: str = "ReplicaSet") -> str:
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        self.api.put(path, {
            "metadata": {"name": name, "namespace": namespace, "ownerReferences": [{"kind": owner, "name": "x"}]},
            "spec": {"nodeName": node},
            "status": {"phase": "Running"},
        })  # fmt: skip
        return path

    # Time

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.seconds += TICK
            self.platform.tick(changed=False)

    def until(self, holds: Callable[[], object], limit: float = 60) -> float:
        """Let time pass until something holds; returns the seconds that it took."""
        begin = self.clock.seconds
        while not holds():
            assert self.clock.seconds - begin < limit, f"not within {limit:g} s; complaints: {self.complaints}"
            self.pass_time(TICK)
        return self.clock.seconds - begin

    def reach(self, node: str, state: str) -> None:
        """Let time pass until the node is in a state; "" is none."""
        self.until(lambda: self.state(node) == state)

    def restart(self) -> None:
        self.platform = self._start()

    # What the cluster shows

    def node(self, name: str) -> Node:
        return Node(self.api.objects[f"/api/v1/nodes/{name}"])

    def state(self, name: str) -> str:
        return self.node(name).labels.get(LABEL, "")

    def states_seen(self, name: str) -> list[str]:
        """Every value of the state label that a watcher saw, in order, without repeats."""
        seen = [""]
        for path, obj in self.api.history:
            value = obj["metadata"].get("labels", {}).get(LABEL, "")
            if path == f"/api/v1/nodes/{name}" and value != seen[-1]:
                seen.append(value)
        return seen[1:]

    def condition(self, name: str) -> Json:
        return self.node(name).condition("SysLogsXIDError") or {}

    def events(self) -> list[Json]:
        return [obj for path, obj in self.api.objects.items() if "/events/" in path]

    def repairs(self) -> list[Json]:
        return [obj for path, obj in sorted(self.api.objects.items()) if path.startswith(f"{XIDS_PATH}/")]

    def config(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self.api.objects[f"/api/v1/namespaces/nvsentinel/configmaps/{name}"]["data"]
        return data

    def set_label(self, node: str, key: str, value: str) -> None:
        self.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {key: value}}})

    def set_cordon(self, node: str, value: bool) -> None:
        self.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": value}})

    def _make_node(self, node: str) -> None:
        (self.folder / f"{node}.boot").write_text(f"boot-0-{node}\n")
        gpus = [{"index": n, "minor": n, **vars(self.gpu(node, n))} for n in (0, 1)]
        (self.folder / f"{node}.json").write_text(json.dumps({"gpus": gpus}))
        self.api.put(f"/api/v1/nodes/{node}", {
            "metadata": {"name": node, "labels": {"nvidia.com/gpu.present": "true"}, "annotations": {}},
            "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"bootID": f"boot-0-{node}"},
            },
        })  # fmt: skip

    def _start(self) -> Platform:
        places = {
            node: Place(
                node, FileLog(self.log(node)), (self.gpu(node), self.gpu(node, 1)), self.folder / f"{node}.boot"
            )
            for node in self.nodes
        }
        return Platform(
            self.api,
            places,
            lambda node: FakeCall(lambda: self.keeper(node)),
            self.times,
            self.clock,
            complain=self.complaints.append,
        )
