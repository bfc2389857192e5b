"""What the runner makes of an agent's answer about the hits of CUDA faults."""

from scenario_runner.adapters.agent_records import cuda_hits


def process(pid, owner):
    return {"pid": pid, "process": "python3", "owner": owner, "pod_uid": None, "container_id": None, "probe": False}


def test_processes_of_pods_that_use_cuda_without_the_library_are_told_with_their_pod():
    """Those of no pod are no workload."""
    owner = {"namespace": "dynamo", "pod": "other-1", "container": None}
    node = {"node": "gpu-1", "processes": [], "without_library": [process(4711, owner), process(4712, None)]}
    found = cuda_hits({"nodes": [node], "unreachable": [{"node": "gpu-2", "reason": "no route"}]}, "gpu-1~f")
    assert found.processes == ()
    assert found.without_library == ("gpu-1: process 4711 (python3) of dynamo/other-1",)
    assert found.unreachable == ("gpu-2: no route",)
