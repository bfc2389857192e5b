"""The CUDA library in pods as strict clusters want them, and what is said where a namespace lets nobody have it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.access import Outside
from tests.e2e.cluster import Cluster
from tests.e2e.drill import Stage
from tests.e2e.drills import day
from tests.e2e.namespace import Json, Namespace
from tests.e2e.stage import SERVICE


def test_the_workers_of_all_drills_are_not_root_and_can_write_nowhere(calm: Stage):
    """So whatever is hit in them is hit in such a pod."""
    pod = min(day.workers(calm), key=lambda one: one["metadata"]["name"])["metadata"]["name"]
    inside = (f"--namespace={SERVICE}", "exec", pod, "--", "python3", "-c")
    assert calm.cluster.kubectl(*inside, "import os; print(os.getuid())") == "65532\n"
    assert "Read-only file system" in calm.cluster.try_kubectl(*inside, "open('/tmp/here', 'w')").stderr


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
