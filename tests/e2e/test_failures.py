"""What breaks is really broken, and comes back: nodes and the control plane; kubelets and the network in `drills`."""

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.namespace import Namespace
from tests.e2e.running import wait_for

_NOTICED = 40.0  # seconds; after a restart of the API server a silent node is noticed late


@pytest.fixture
def whole(cluster: Cluster):
    """However the test ends, the nodes are ready for the next one."""
    yield cluster
    for name in cluster.nodes:
        cluster.wait_until_ready(name)


def wait_for_condition(cluster: Cluster, node: str, status: str) -> None:
    wait_for(f"node {node} is ready={status}", _NOTICED, lambda: cluster.condition(node) == status, every=0.3)


def home(namespace: Namespace, app: str) -> str:
    """The node of the only pod that is not being deleted."""
    (node,) = [one["spec"]["nodeName"] for one in namespace.pods(app) if "deletionTimestamp" not in one["metadata"]]
    return str(node)


def test_a_node_that_was_off_comes_back_with_another_boot_id_and_runs_its_pods(whole: Cluster, namespace: Namespace):
    namespace.deploy("worker", 6, "import time; time.sleep(1000)", gpus=1)
    before = whole.machines["gpu-2"].boot_id
    whole.power_off("gpu-2")
    wait_for_condition(whole, "gpu-2", "Unknown")
    whole.power_on("gpu-2")
    whole.wait_until_ready("gpu-2")
    after = whole.get("node", "gpu-2")["status"]["nodeInfo"]["bootID"]
    assert after == whole.machines["gpu-2"].boot_id != before
    selector = "--field-selector=involvedObject.name=gpu-2,reason=Rebooted"
    wait_for("the reboot is an event", 20, lambda: after in str(whole.get("events", "--namespace=default", selector)))
    namespace.wait_until_deployed("worker")


def test_pods_do_not_notice_that_the_api_server_is_away(whole: Cluster, namespace: Namespace):
    namespace.deploy("web", 2)
    before = _lives(namespace)
    whole.stop_api_server()
    assert whole.try_kubectl("get", "nodes", "--request-timeout=3s").returncode != 0
    whole.start_api_server()
    assert _lives(namespace) == before


def _lives(namespace: Namespace) -> list[tuple[str, int]]:
    """Which pods there are, and how often their container was started again."""
    pods = namespace.pods("web")
    return [(one["metadata"]["uid"], one["status"]["containerStatuses"][0]["restartCount"]) for one in pods]


def test_the_api_server_waits_for_its_store(whole: Cluster):
    whole.pause("etcd")
    try:
        assert whole.try_kubectl("get", "nodes", "--request-timeout=3s").returncode != 0
    finally:
        whole.resume("etcd")
    whole.control_plane.wait_until_ready()
    assert len(whole.get("nodes")["items"]) == 3


def test_a_container_runtime_that_is_killed_leaves_its_pods_serving(whole: Cluster, namespace: Namespace):
    namespace.deploy("web", 1)
    node, path = home(namespace, "web"), namespace.path_to("web")
    serving = whole.kubectl("get", f"--raw={path}")
    whole.kill(node, "containerd")
    assert whole.kubectl("get", f"--raw={path}") == serving
    whole.start(node, "containerd")
    whole.wait_until_ready(node)
