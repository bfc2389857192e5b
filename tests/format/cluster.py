"""A small cluster for plans: three nodes with two GPUs each, three pods that each hold one, a service."""

from dataclasses import replace

from scenario_runner.core.faults import GpuSeat
from scenario_runner.core.states import Condition, NodeState, PodState, ServiceState, WorkloadState
from tests.fakes import FakeAgent, FakeClock, FakeCluster

PODS = {"w-a": "gpu-2", "w-b": "gpu-1", "w-c": "gpu-3"}
LABELS = {"scenario-runner/allow": "true", "nvidia.com/gpu.present": "true"}


def node(name: str, **changes: object) -> NodeState:
    healthy = NodeState(name, f"uid-{name}", conditions={"Ready": Condition("True")}, labels=LABELS)
    return replace(healthy, **changes)


def pod(name: str, on: str, **changes: object) -> PodState:
    state = PodState("dynamo", name, f"uid-{name}", on, "Running", ready=True, labels={"app": "w"})
    return replace(state, **changes)


def seats(number: int, holder: str) -> tuple[GpuSeat, ...]:
    """GPU 0 is free, GPU 1 is held."""
    return (
        GpuSeat(0, f"GPU-{number}0", f"4001:{number}0:00"),
        GpuSeat(1, f"GPU-{number}1", f"4001:{number}1:00", (f"dynamo/{holder}",)),
    )


def small_cluster() -> tuple[FakeCluster, FakeAgent]:
    cluster = FakeCluster()
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        cluster.put(node(name))
    for name, on in PODS.items():
        cluster.put(pod(name, on))
    cluster.put(PodState("nvsentinel", "labeler", "uid-labeler", "gpu-2", "Running", ready=True))
    cluster.workload_states["deployment", "dynamo", "w"] = WorkloadState("deployment", "dynamo", "w", "uid", 3, "app=w")
    cluster.service_states["dynamo", "front"] = ServiceState("dynamo", "front", "127.0.0.9", {"http": 8000})
    holders = {on: name for name, on in PODS.items()}
    agent = FakeAgent(FakeClock(), {f"gpu-{at}": seats(at, holders[f"gpu-{at}"]) for at in (1, 2, 3)})
    return cluster, agent
