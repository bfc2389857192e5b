"""The CUDA library in pods as strict clusters want them, and what is said where a namespace lets nobody have it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_runner.workloads.cuda import LIBRARY_FILE
from tests.e2e import stage as scenery
from tests.e2e.access import Outside
from tests.e2e.cluster import Cluster
from tests.e2e.drill import Stage
from tests.e2e.drills import day
from tests.e2e.drills.readme import NAMESPACE
from tests.e2e.namespace import Json, Namespace
from tests.e2e.stage import SERVICE


def test_the_workers_of_all_drills_are_not_root_and_can_write_nowhere(calm: Stage):
    """So whatever is hit in them is hit in such a pod."""
    pod = min(day.workers(calm), key=lambda one: one["metadata"]["name"])["metadata"]["name"]
    inside = (f"--namespace={SERVICE}", "exec", pod, "--", "python3", "-c")
    assert calm.cluster.kubectl(*inside, "import os; print(os.getuid())") == "65532\n"
    assert "Read-only file system" in calm.cluster.try_kubectl(*inside, "open('/tmp/here', 'w')").stderr


# What an exec probe of an engine's pod might do: it uses the GPU, as far as it can.
VISIT = """
import ctypes
cuda, device, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_void_p()
cuda.cuInit(0)
cuda.cuDeviceGet(ctypes.byref(device), 0)
cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
cuda.cuCtxSetCurrent(context)
print(cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(64)))
"""
OUT_OF_MEMORY = "2\n"


@pytest.mark.kmsg
def test_where_no_gpu_is_spare_new_pods_take_the_place_of_old_ones_and_visitors_do_not_count(
    calm: Stage, namespace: Namespace
):
    """The engines preload another library already; somebody comes by exec, as probes do, and runs into the fault."""
    in_place = {"patch_cuda": {"target": "worker", "in_place": True}}
    pressed = {"arm_cuda": {"target": "victim", "profile": "oom"}, "id": "pressed"}
    pause = {"pause": "6s"}
    one_engine = {"assert_cuda_hits": {"of": "pressed", "processes": "exactly 1", "target": "worker"}}
    file = day.drill(calm, pressed, pause, one_engine, before=[in_place], success="at least 0.4")
    namespace.deploy("holder", 3, "import time; time.sleep(1000)", gpus=1)
    with calm.running(file) as drill:
        drill.wait_until('"value": "hit"', 120)
        loaded = [_loaded(calm, pod) for pod in day.workers(calm)]
        answers = [_visit(calm, pod) for pod in day.workers(calm)]
        code, said = drill.ends()
    assert code == 0, said
    lines = said.splitlines()
    assert f"  fault agents at {NAMESPACE}/fault-agent:8443 through the API server's proxy" in lines
    assert lines[lines.index("  victims:") + 1].startswith("    XID 94 on GPU ")
    assert "each in the place of an old one (maxSurge 0, maxUnavailable 1)" in said
    assert loaded == [{scenery.ALREADY, LIBRARY_FILE}] * 3
    assert sorted(answers) == ["0\n", "0\n", OUT_OF_MEMORY]
    (hits,) = [one["hits"] for one in calm.report()["faults"] if one["cuda"]]
    assert sorted(one["probe"] for one in hits) == [False, True]


def _loaded(stage: Stage, pod: Json) -> set[str]:
    """Which libraries the engine of this pod has in its memory, of those that are preloaded."""
    inside = f"--namespace={SERVICE}", "exec", pod["metadata"]["name"], "--", "cat", "/proc/1/maps"
    files = {line.rpartition("/")[2] for line in stage.cluster.kubectl(*inside).splitlines()}
    return files & {scenery.ALREADY, LIBRARY_FILE}


def _visit(stage: Stage, pod: Json) -> str:
    inside = f"--namespace={SERVICE}", "exec", pod["metadata"]["name"], "--", "python3", "-c", VISIT
    return stage.cluster.kubectl(*inside)


@pytest.fixture
def strict(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace with a workload that fits both levels."""
    made = Namespace.make(cluster)
    made.deploy("web", 1)
    yield made
    made.remove()


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_namespace_that_refuses_host_paths_is_told_before_anything_changes(
    strict: Namespace, tmp_path: Path, level: str
):
    strict.cluster.kubectl("label", "namespace", strict.name, f"pod-security.kubernetes.io/enforce={level}")
    outside = Outside(strict.cluster, tmp_path)
    file = outside.scenario(
        name="strict",
        control=True,
        namespace=strict.name,
        targets={"worker": {"workload": "deployment/web"}, "web": {"service": "web"}},
        steps=[
            {"patch_cuda": "worker"},
            {"send_requests": {"target": "web", "rate": "4/s", "for": "5s"}, "id": "calm"},
            {"assert_success": {"load": "calm", "ratio": "at least 0.99"}},
        ],
    )
    before = _content(strict)
    done = outside.call("run", "--yes", "--context", strict.cluster.context, file)
    assert done.returncode == 3, done.stdout + done.stderr
    assert (
        "pods of deployment/web with the CUDA library would not be admitted, as it reaches the node's control file by "
        f"hostPath: label namespace {strict.name} pod-security.kubernetes.io/enforce=privileged, or drill elsewhere; "
    ) in done.stdout + done.stderr
    assert f'violates PodSecurity "{level}:latest"' in done.stdout + done.stderr
    assert _content(strict) == before


def _content(namespace: Namespace) -> tuple[Json, list[str]]:
    """The workload as it is wanted, and the names of all ConfigMaps."""
    maps = namespace.get("configmaps")["items"]
    return namespace.get("deployment", "web")["spec"], [one["metadata"]["name"] for one in maps]
