"""The cluster is what it claims to be: Kubernetes that schedules, runs, serves, restarts, evicts and drains."""

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.namespace import Namespace, pod
from tests.e2e.place import Trouble
from tests.e2e.running import wait_for


def test_three_nodes_are_ready_and_have_two_gpus_each(cluster: Cluster):
    nodes = {one["metadata"]["name"]: one for one in cluster.get("nodes")["items"]}
    assert sorted(nodes) == ["gpu-1", "gpu-2", "gpu-3"]
    for name, node in nodes.items():
        labels = node["metadata"]["labels"]
        assert cluster.condition(name) == "True"
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "2"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.2"
        assert labels["accelerator"] == "nvidia"
        assert labels["nvidia.com/gpu.present"] == "true"
        assert labels["scenario-runner/allow"] == "true"


def test_nodes_have_boot_ids_of_their_own(cluster: Cluster):
    boots = {one["status"]["nodeInfo"]["bootID"] for one in cluster.get("nodes")["items"]}
    assert boots == {cluster.machines[name].boot_id for name in cluster.nodes}
    assert len(boots) == 3


def test_a_pod_reaches_another_by_the_name_of_its_service(cluster: Cluster, namespace: Namespace):
    namespace.deploy("web", 3)
    url = f"http://web.{namespace.name}.svc.cluster.local/"
    ask = f"import urllib.request as r; print(*{{r.urlopen({url!r}, timeout=5).read().decode() for _ in range(60)}})"
    namespace.run("client", ask)
    namespace.wait_until_over("client")
    pods = sorted(one["metadata"]["name"] for one in namespace.pods("web"))
    assert sorted(namespace.kubectl("logs", "client").split()) == pods


def test_a_service_is_reached_from_outside_through_the_api_server(cluster: Cluster, namespace: Namespace):
    namespace.deploy("web", 1)
    said = cluster.kubectl("get", f"--raw={namespace.path_to('web')}")
    assert said == namespace.pods("web")[0]["metadata"]["name"]


def test_a_program_runs_in_a_container_that_is_there(namespace: Namespace):
    namespace.deploy("web", 1)
    name = namespace.pods("web")[0]["metadata"]["name"]
    assert namespace.kubectl("exec", name, "--", "python", "-c", "print(6 * 7)") == "42\n"


def test_each_gpu_is_given_to_one_pod_only(cluster: Cluster, namespace: Namespace):
    say = "import os, time; print(os.environ['NVIDIA_VISIBLE_DEVICES'], flush=True); time.sleep(1000)"
    namespace.deploy("worker", 6, say, gpus=1)
    pods = namespace.pods("worker")

    def given() -> list[str]:
        return [namespace.kubectl("logs", one["metadata"]["name"]).strip() for one in pods]

    wait_for("all pods say which GPU they have", 20, lambda: all(given()))
    assert sorted(given()) == sorted(gpu.uuid for node in cluster.nodes for gpu in cluster.gpus(node))
    for one, uuid in zip(pods, given(), strict=True):
        assert uuid in {gpu.uuid for gpu in cluster.gpus(one["spec"]["nodeName"])}


def test_a_pod_waits_for_a_gpu_when_all_are_taken(namespace: Namespace):
    namespace.deploy("worker", 6, "import time; time.sleep(1000)", gpus=1)
    namespace.kubectl("scale", "deployment/worker", "--replicas=7")

    def waiting() -> list[str]:
        conditions = [one for pod in namespace.pods("worker") for one in pod["status"].get("conditions", [])]
        return [one["message"] for one in conditions if one.get("reason") == "Unschedulable"]

    wait_for("a pod is found to have no room", 20, lambda: bool(waiting()))
    assert waiting() == [waiting()[0]]
    assert "3 Insufficient nvidia.com/gpu" in waiting()[0]


def test_a_pod_that_crashes_is_backed_off_and_its_last_words_are_kept(namespace: Namespace):
    namespace.run("crasher", "import sys; print('last words'); sys.exit(7)", restartPolicy="Always")

    def state() -> tuple[object, ...]:
        (one,) = namespace.get("pod", "crasher")["status"].get("containerStatuses") or [{}]
        waiting = one.get("state", {}).get("waiting", {}).get("reason")
        return waiting, one.get("lastState", {}).get("terminated", {}).get("exitCode")

    wait_for("the crasher is backed off", 60, lambda: state() == ("CrashLoopBackOff", 7))
    assert namespace.kubectl("logs", "crasher", "--previous") == "last words\n"


def test_a_pod_that_takes_too_much_memory_is_killed(namespace: Namespace):
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "eater"},
            "spec": {"restartPolicy": "Never", **_limited("x = bytearray(200 << 20)", "64Mi")},
        }
    )
    namespace.wait_until_over("eater", "Failed")
    (status,) = namespace.get("pod", "eater")["status"]["containerStatuses"]
    assert status["state"]["terminated"]["reason"] == "OOMKilled"
    assert status["state"]["terminated"]["exitCode"] == 137


def _limited(program: str, memory: str) -> dict[str, object]:
    spec = pod(program)
    spec["containers"][0]["resources"] = {"limits": {"memory": memory}}
    return spec


def test_an_image_that_nobody_has_is_reported_at_once(namespace: Namespace):
    namespace.run("absent", "", containers=[{"name": "main", "image": "nobody/has-this:1"}])

    def reason() -> str:
        (one,) = namespace.get("pod", "absent")["status"].get("containerStatuses") or [{}]
        return str(one.get("state", {}).get("waiting", {}).get("reason"))

    wait_for("the pull fails", 20, lambda: reason() in ("ErrImagePull", "ImagePullBackOff"))


def test_a_drain_waits_for_a_disruption_budget(cluster: Cluster, namespace: Namespace):
    namespace.deploy("web", 1)
    namespace.kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    node = namespace.pods("web")[0]["spec"]["nodeName"]
    drain = ("drain", node, "--pod-selector=app=web", "--timeout=7s")
    try:
        with pytest.raises(Trouble, match="would violate the pod's disruption budget"):
            cluster.kubectl(*drain)
        namespace.kubectl("scale", "deployment/web", "--replicas=2")
        namespace.wait_until_deployed("web")
        cluster.kubectl(*drain)
        namespace.wait_until_deployed("web")
        assert node not in {one["spec"]["nodeName"] for one in namespace.pods("web")}
    finally:
        cluster.kubectl("uncordon", node)


def test_a_privileged_pod_writes_the_kernel_log_and_reads_it_back(namespace: Namespace):
    program = f"""
import os
text = "e2e test of {namespace.name}"
fd = os.open("/dev/kmsg", os.O_WRONLY)
os.write(fd, f"<6>{{text}}\\n".encode())
os.close(fd)
fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
while text not in (line := os.read(fd, 8192).decode()):
    pass
print(line.partition(";")[2], end="")
"""
    privileged = {"name": "main", "securityContext": {"privileged": True}}
    (container,) = pod(program)["containers"]
    namespace.run("writer", program, containers=[container | privileged])
    namespace.wait_until_over("writer")
    assert namespace.kubectl("logs", "writer").strip() == f"e2e test of {namespace.name}"
