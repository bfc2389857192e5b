"""A whole world of fakes: three nodes with two GPUs each, a workload of three pods, a platform, and a run's folder."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenario_runner.core.clock import Bell, Deadline, Stop
from scenario_runner.core.cuda import ProcessHits
from scenario_runner.core.events import Event
from scenario_runner.core.faults import FaultRecord, GpuSeat
from scenario_runner.core.plan import Guards, Plan, PlannedStep, PlatformProfile, ResolvedTarget
from scenario_runner.core.ports import CudaLibrary
from scenario_runner.core.report import Report
from scenario_runner.core.states import Condition, EventState, NodeState, PodState, ServiceState, WorkloadState
from scenario_runner.core.step import Context, Step, UndoContext
from scenario_runner.core.targets import EndpointTarget, GpuTarget, NodeTarget, Target, WorkloadTarget
from scenario_runner.core.undo import UNDOS
from scenario_runner.engine.appending import Disk
from scenario_runner.engine.claim import ClusterClaim, LocalOnly
from scenario_runner.engine.journal import Journal
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.runner import run, state_of
from scenario_runner.engine.stepping import Stepping
from scenario_runner.engine.world import Clocks, Settings, World
from scenario_runner.errors import Refused
from scenario_runner.format.rechoice import Rechoice
from tests.fake_agent import FakeAgent
from tests.fake_claims import FakeClaimStore
from tests.fake_cluster import FakeCluster
from tests.fake_kept import Kept
from tests.fake_loads import FakeLoads
from tests.fake_time import FakeBeats, FakeClock, FakeTime

RUN = "20260101-000000-drill-abcd"
NODES = ("gpu-1", "gpu-2", "gpu-3")
WORKER = {"app": "vllm-decode", "nvidia.com/dynamo-component-type": "worker"}
STATE = "dgxc.nvidia.com/nvsentinel-state"


def _seats(number: int, node: str) -> tuple[GpuSeat, ...]:
    holder = (f"dynamo/vllm-decode-{node[-1]}",)
    return tuple(
        GpuSeat(index, f"GPU-{number}{index}", f"400{number}:1{index}:00", holder if index == 0 else ())
        for index in range(2)
    )


GPUS = {node: _seats(number, node) for number, node in enumerate(NODES, start=1)}

TARGETS: dict[str, Target] = {
    "worker": WorkloadTarget("deployment", "dynamo", "vllm-decode", "uid-vllm-decode", "app=vllm-decode", 3),
    "victim": GpuTarget(
        NodeTarget("gpu-1", "uid-gpu-1"), 0, "GPU-10", GPUS["gpu-1"][0].pci, held_by="dynamo/vllm-decode-1"
    ),
    "node": NodeTarget("gpu-1", "uid-gpu-1"),
    "frontend": EndpointTarget("http://127.0.0.1:8000", service="dynamo/frontend:8000"),
}


class FakePlatform:
    """Reacts to injected faults in virtual time as the platform does: condition, cordon, states, and healing."""

    def __init__(self, time: FakeTime, cluster: FakeCluster, *, heals: bool = True) -> None:
        self.time = time
        self.cluster = cluster
        self.heals = heals
        self.fatal = {48, 74, 79, 95, 119, 120}
        self.blind = False  # sees no fault at all
        self.healed_at: dict[str, float] = {}

    def saw(self, record: FaultRecord) -> None:
        if self.blind:
            return
        text = f"ErrorCode:{record.xid} PCI:{record.pci} GPU_UUID:{record.gpu_uuid} Recommended Action=RESTART_BM;"
        if record.xid not in self.fatal:
            self.time.after(1.0, lambda: self._event(record.node, text))
            return
        self.time.after(1.0, lambda: self._ill(record.node, text))
        self.time.after(2.0, lambda: self._change(record.node, unschedulable=True, labels={STATE: "quarantined"}))
        self.time.after(4.0, lambda: self._change(record.node, labels={STATE: "drain-succeeded"}))
        if self.heals:
            self.time.after(8.0, lambda: self._change(record.node, labels={STATE: "remediation-succeeded"}))
            self.time.after(10.0, lambda: self.heal(record.node))

    def recovered(self, record: FaultRecord) -> None:
        if record.status == "recovered":
            self.time.after(1.0, lambda: self.heal(record.node))

    def heal(self, node: str) -> None:
        self.healed_at[node] = self.time.elapsed
        well = {"SysLogsXIDError": Condition("False", "SysLogsXIDErrorIsHealthy", "No Health Failures")}
        self._change(node, unschedulable=False, labels={STATE: None}, conditions=well)

    def _ill(self, node: str, text: str) -> None:
        self._change(node, conditions={"SysLogsXIDError": Condition("True", "SysLogsXIDErrorIsNotHealthy", text)})

    def _event(self, node: str, text: str) -> None:
        reason = "SysLogsXIDErrorIsNotHealthy"
        self.cluster.event(EventState("default", f"{node}.1", f"uid-{text}", "Node", node, reason, text, "Warning"))

    def _change(self, node: str, **changes: Any) -> None:
        self.cluster.change_node(node, **changes)


class FakeWorld:
    """
    Owns the journal of a run in `folder`. `kept` is a file that holds faults and objects beyond this process.

    `run(plan)` runs a plan; `context(plan, planned)` is what one step gets; `snapshot()` is compared before and after.
    """

    def __init__(
        self, folder: Path, kept: Path | None = None, disk: Disk | None = None, journal: Journal | None = None
    ) -> None:
        self.folder = folder
        self.time = FakeTime()
        self.bell = Bell()
        self.stop = Stop(self.bell)
        self.clock = FakeClock(self.time, self.bell, self.stop)
        self.undo_clock = FakeClock(self.time, self.bell)
        storage = Kept(kept)
        self.cluster = _furnished(FakeCluster(storage))
        self.claims = FakeClaimStore(storage)
        self.claim: ClusterClaim = LocalOnly()
        self.agent = FakeAgent(self.undo_clock, GPUS, storage)
        self.platform = FakePlatform(self.time, self.cluster)
        self.agent.on_inject = self.platform.saw
        self.agent.on_recover = self.platform.recovered
        self.agent.on_arm = self.run_into
        self.loads = FakeLoads(self.undo_clock)
        self.journal = journal or Journal.own(folder / "undo.jsonl", RUN, UNDOS, disk)
        self.taken: dict[str, str] = {}  # node -> the other run that owns it
        self.events: list[Event] = []
        self.listeners: tuple[Callable[[Event], None], ...] = (self.events.append,)

    def world(self) -> World:
        return World(
            run_id=RUN,
            backend="a fake",
            clocks=Clocks(self.clock, self.undo_clock),
            bell=self.bell,
            stop=self.stop,
            cluster=self.cluster,
            agent=self.agent,
            loads=self.loads,
            libraries=self,
            journal=self.journal,
            run_dir=self.folder,
            listeners=self.listeners,
            beats=FakeBeats(self.time),
            claim=self.claim,
            rechoosing=Rechoice(self.cluster, self.agent, self.own),
        )

    def own(self, node: NodeTarget) -> None:
        """Nodes of `taken` belong to another run, every other one is this run's when it asks."""
        if node.name in self.taken:
            raise Refused(f"node {node.name} belongs to run {self.taken[node.name]}, which is still running")

    def library(self, machine: str) -> CudaLibrary:
        """A CUDA library that is small enough to be compared."""
        return CudaLibrary(b"a library", machine)

    def seat(self, host: str = "here") -> Seat:
        """What a claim in the fake cluster is made with; nothing stops its clock."""
        return Seat(self.claims, self.undo_clock, UNDOS, host)

    def run(self, plan: Plan, settings: Settings | None = None) -> Report:
        return run(plan, self.world(), settings)

    def context(self, plan: Plan, planned: PlannedStep) -> Context:
        """The context of one step, with running watches, outside of any run."""
        state = state_of(plan, self.world(), Settings())
        state.watches.begin(plan, (), Deadline.after(self.clock, 1.0))
        return Stepping(state).context(planned, self.clock)

    def run_into(self, record: FaultRecord) -> None:
        """The pods that hold the GPU run into a CUDA fault at once."""
        seat = next(one for one in self.agent.nodes[record.node] if one.uuid == record.gpu_uuid)
        self.agent.hits[record.fault_id] = tuple(
            ProcessHits(
                record.node, 7, "vllm", pod, "worker", False, seat.uuid, 3, 719, "cuLaunchKernel",
                self.undo_clock.now().isoformat(),
            )
            for pod in seat.held_by
        )  # fmt: skip

    def undo_context(self, seconds: float = 60.0) -> UndoContext:
        return UndoContext(self.undo_clock, Deadline.after(self.undo_clock, seconds), self.agent, self.cluster)

    def snapshot(self) -> dict[str, Any]:
        """What a run may not have changed when it is over."""
        documents = {key: copy.deepcopy(one["content"]) for key, one in self.cluster.documents.items()}
        return {"faults in force": self.agent.active(), "documents": documents}


def _furnished(cluster: FakeCluster) -> FakeCluster:
    ready = {"Ready": Condition("True", "KubeletReady", "kubelet is posting ready status")}
    for node in NODES:
        labels = {"accelerator": "nvidia", "kubernetes.io/hostname": node, "scenario-runner/allow": "true"}
        cluster.put(NodeState(node, f"uid-{node}", conditions=ready, labels=labels, boot_id=f"boot-{node}"))
        pod = f"vllm-decode-{node[-1]}"
        cluster.put(PodState("dynamo", pod, f"uid-{pod}", node, "Running", ready=True, labels=WORKER))
    workload = WorkloadState("deployment", "dynamo", "vllm-decode", "uid-vllm-decode", 3, "app=vllm-decode")
    cluster.workload_states["deployment", "dynamo", "vllm-decode"] = workload
    cluster.service_states["dynamo", "frontend"] = ServiceState("dynamo", "frontend", "127.0.0.1", {"http": 8000})
    container = {"name": "main", "image": "vllm", "env": [{"name": "MODEL", "value": "tiny"}]}
    content = {"metadata": {"annotations": {}}, "spec": {"template": {"spec": {"containers": [container]}}}}
    cluster.documents.setdefault(
        "Deployment/dynamo/vllm-decode", {"uid": "uid-vllm-decode", "version": 1, "content": content}
    )
    return cluster


def planned(step: Step, step_id: str = "", **changes: Any) -> PlannedStep:
    """A step as the planner would plan it: its kind is its id."""
    named = step_id or step.kind()
    fields: dict[str, Any] = {"number": "01", "name": step.title(), "line": 1, "timeout": step.default_timeout}
    return PlannedStep(id=named, step=step, **fields | changes)


def plan_of(*steps: PlannedStep | Step, **changes: Any) -> Plan:
    """A plan of these steps, numbered, against the targets of the fake world."""
    whole = [one if isinstance(one, PlannedStep) else planned(one) for one in steps]
    numbered = tuple(_numbered(one, number) for number, one in enumerate(whole, start=1))
    fields: dict[str, Any] = {
        "scenario": "drill",
        "description": "",
        "file": Path("scenarios/drill.yaml"),
        "digest": "0" * 64,
        "tags": (),
        "namespace": "dynamo",
        "control": False,
        "variables": (),
        "resolved": tuple(ResolvedTarget(name, name, target, name) for name, target in TARGETS.items()),
        "guards": Guards(),
        "profile": PlatformProfile(),
        "abort_when": (),
        "deadline": None,
        "undo_budget": 120.0,
        "settle_timeout": 60.0,
        "worst_case": 3600.0,
        "seed": 1,
    }
    return Plan(steps=numbered, **fields | changes)


def _numbered(one: PlannedStep, number: int) -> PlannedStep:
    return replace(one, number=f"{number:02d}")
