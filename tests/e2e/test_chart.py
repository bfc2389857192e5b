"""The agent's chart on a real cluster, installed, upgraded and removed by the real helm as users do it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.charts import MANIFESTS
from tests.e2e.chart import RELEASE, Release, inject, is_acknowledged, recover, release, until_ready
from tests.e2e.cluster import Cluster
from tests.e2e.image import AGENT_IMAGE
from tests.e2e.running import wait_for

Json = Any


@pytest.fixture(scope="module")
def installed(real_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Each test leaves it without faults."""
    made = release(real_cluster, "chart", tmp_path_factory.mktemp("chart"))
    made.remove()
    try:
        made.install()
        yield made
    finally:
        made.remove()


def test_the_gateway_answers_for_every_node(installed: Release) -> None:
    with installed.gateway() as gateway:
        ready = until_ready(gateway)
    assert sorted(ready["nodes"]) == sorted(installed.cluster.nodes)
    for node in ready["nodes"].values():
        assert node["kernel_log"] == {"kind": "real", "path": "/dev/kmsg", "writable": True, "reason": None}
    assert ready["ready"] is True


def test_gateways_share_no_node(installed: Release) -> None:
    assert len(installed.pods("gateway")) == 2


def test_an_agent_knows_the_boot_and_the_gpus_of_its_node(installed: Release) -> None:
    with installed.gateway() as gateway:
        for node in installed.cluster.nodes:
            answer = gateway.get("/api/v1/gpus", params={"node_name": node}).json()
            assert answer["boot_id"] == installed.cluster.get("node", node)["status"]["nodeInfo"]["bootID"]
            assert [(gpu["uuid"], gpu["pci"]) for gpu in answer["gpus"]] == [
                (gpu.uuid, gpu.pci) for gpu in installed.cluster.gpus(node)
            ]


def test_a_pod_that_was_given_a_gpu_is_known_as_its_holder(installed: Release) -> None:
    installed.kubectl("run", "holder", f"--overrides={json.dumps({'spec': holder()})}", f"--image={AGENT_IMAGE}")
    installed.kubectl("wait", "pod/holder", "--for=condition=Ready", "--timeout=60s")
    node = installed.get("pod", "holder")["spec"]["nodeName"]
    me = {"namespace": installed.namespace, "pod": "holder", "container": "worker"}

    def holders() -> list[Json]:
        gpus = gateway.get("/api/v1/gpus", params={"node_name": node}).json()["gpus"]
        return [one for gpu in gpus for one in gpu["held_by"]]

    with installed.gateway() as gateway:
        wait_for("the agent knows who holds the GPU", 30, lambda: me in holders())
        installed.kubectl("delete", "pod", "holder", "--grace-period=1")
        wait_for("the agent knows that nobody holds the GPU", 30, lambda: me not in holders())


def holder() -> Json:
    container = {
        "name": "worker",
        "image": AGENT_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sleep", "3600"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    return {"restartPolicy": "Never", "containers": [container]}


def test_a_fault_is_written_through_the_service_and_taken_back(installed: Release) -> None:
    with installed.gateway() as gateway:
        until_ready(gateway)
        fault = inject(gateway, "gpu-1", "round-trip")
        assert (fault["status"], fault["evidence"]["kernel_log"]) == ("active", "real")
        assert not is_acknowledged(fault)
        assert recover(gateway, fault)["status"] == "recovered"
    assert is_acknowledged(fault)


def test_the_service_is_reached_by_its_name_inside_the_cluster_and_by_nobody_without_the_token(
    installed: Release,
) -> None:
    program = f"""
import ssl, urllib.error, urllib.request
trust = ssl.create_default_context(cafile="/tls/ca.crt")
def ask(path):
    try:
        url = "https://{RELEASE}.{installed.namespace}.svc:8443" + path
        print(urllib.request.urlopen(url, context=trust, timeout=10).status)
    except urllib.error.HTTPError as error:
        print(error.code)
ask("/health")
ask("/readyz")
"""
    container = {
        "name": "asks",
        "image": AGENT_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", program],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    volume = {"name": "tls", "secret": {"secretName": f"{RELEASE}-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    installed.kubectl("run", "asks", f"--overrides={json.dumps({'spec': spec})}", f"--image={AGENT_IMAGE}")
    try:
        installed.kubectl("wait", "pod/asks", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        assert installed.kubectl("logs", "asks").split() == ["200", "401"]
    finally:
        installed.kubectl("delete", "pod", "asks", "--grace-period=1")


def test_an_agent_whose_pod_is_deleted_forgets_nothing(installed: Release) -> None:
    with installed.gateway() as gateway:
        fault = inject(gateway, "gpu-2", "pod-deleted")
        old = installed.pods("node")["gpu-2"]["metadata"]
        installed.kubectl("delete", "pod", old["name"])
        wait_for("gpu-2 has another agent", 60, lambda: _is_another(installed, "gpu-2", old["uid"]))
        installed.wait()
        until_ready(gateway)
        assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json() == fault
        assert recover(gateway, fault)["status"] == "recovered"


def _is_another(installed: Release, node: str, uid: str) -> bool:
    pod = installed.pods("node").get(node)
    return pod is not None and pod["metadata"]["uid"] != uid


def test_an_agent_stays_on_a_node_that_is_drained(installed: Release) -> None:
    uid = installed.pods("node")["gpu-3"]["metadata"]["uid"]
    try:
        options = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"]
        options += [f"--pod-selector=app.kubernetes.io/instance={RELEASE}"]
        installed.cluster.kubectl("drain", "gpu-3", *options)
        with installed.gateway() as gateway:
            until_ready(gateway)
            fault = inject(gateway, "gpu-3", "drained")
            assert recover(gateway, fault)["status"] == "recovered"
        assert installed.pods("node")["gpu-3"]["metadata"]["uid"] == uid
        assert "gpu-3" not in installed.pods("gateway")
    finally:
        installed.cluster.kubectl("uncordon", "gpu-3")


def test_a_fault_outlives_the_kubelet(installed: Release) -> None:
    with installed.gateway() as gateway:
        fault = inject(gateway, "gpu-2", "kubelet")
        installed.cluster.kill("gpu-2", "kubelet")
        try:
            assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json() == fault
        finally:
            installed.cluster.start("gpu-2", "kubelet")
        installed.cluster.wait_until_ready("gpu-2")
        until_ready(gateway)
        assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json() == fault
        assert recover(gateway, fault)["status"] == "recovered"


def test_a_reboot_of_the_node_ends_its_faults(installed: Release) -> None:
    with installed.gateway() as gateway:
        fault = inject(gateway, "gpu-3", "reboot")
    installed.cluster.power_off("gpu-3")
    installed.cluster.power_on("gpu-3")
    installed.cluster.wait_until_ready("gpu-3")
    installed.wait()
    with installed.gateway() as gateway:
        until_ready(gateway)
        ended = gateway.get(f"/api/v1/faults/{fault['fault_id']}").json()
        assert (ended["status"], ended["acknowledgement"]) == ("rebooted", None)
        assert gateway.get("/api/v1/faults?active_only=true").json() == {"faults": [], "unreachable": []}


def test_an_upgrade_without_a_change_restarts_nothing(installed: Release) -> None:
    before = {pod["metadata"]["uid"] for kind in ("node", "gateway") for pod in installed.pods(kind).values()}
    installed.upgrade()
    after = {pod["metadata"]["uid"] for kind in ("node", "gateway") for pod in installed.pods(kind).values()}
    assert after == before


def test_an_upgrade_keeps_the_faults_the_token_and_the_certificate(installed: Release) -> None:
    kept = installed.secret("token"), installed.secret("tls")
    with installed.gateway() as gateway:
        faults = {node: inject(gateway, node, "upgrade") for node in installed.cluster.nodes}
        before = {pod["metadata"]["uid"] for pod in installed.pods("node").values()}
        installed.upgrade(maxActive=3)
        assert not before & {pod["metadata"]["uid"] for pod in installed.pods("node").values()}
        assert (installed.secret("token"), installed.secret("tls")) == kept
        until_ready(gateway)
        for node, fault in faults.items():
            assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json() == fault, node
            assert recover(gateway, fault)["status"] == "recovered"


def may(installed: Release, account: str, *what: str) -> bool:
    who = f"--as=system:serviceaccount:{installed.namespace}:{RELEASE}-{account}"
    return (
        installed.cluster.try_kubectl(f"--namespace={installed.namespace}", "auth", "can-i", *what, who).returncode == 0
    )


def test_the_accounts_may_do_what_they_need_and_nothing_near_it(installed: Release) -> None:
    assert may(installed, "node", "get", "nodes")
    assert may(installed, "node", "list", "pods", "--all-namespaces")
    assert may(installed, "gateway", "watch", "pods")
    for account, what in (
        ("node", ["patch", "nodes"]),
        ("node", ["get", "secrets"]),
        ("gateway", ["list", "pods", "--all-namespaces"]),
        ("gateway", ["get", "secrets"]),
        ("gateway", ["delete", "pods"]),
    ):
        assert not may(installed, account, *what), (account, what)


def test_the_api_server_takes_the_plain_manifests(installed: Release) -> None:
    names = sorted(MANIFESTS.rglob("*.yaml"))
    text = "---\n".join(path.read_text() for path in names if path.name != "1-namespace.yaml")
    for namespace in ("scenario-runner", "default", "dynamo"):
        text = text.replace(f"  namespace: {namespace}\n", f"  namespace: {installed.namespace}\n")
    done = installed.cluster.try_kubectl("apply", "--dry-run=server", "--filename=-", stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("(server dry run)") == len(re.findall(r"^kind: ", text, re.MULTILINE))


def test_uninstalling_recovers_every_fault_and_leaves_nothing(installed: Release) -> None:
    with installed.gateway() as gateway:
        until_ready(gateway)
        faults = [inject(gateway, node, "uninstall") for node in installed.cluster.nodes]
    done = installed.uninstall()
    assert done.returncode == 0, done.stderr
    assert all(is_acknowledged(fault) for fault in faults)
    wait_for("all pods are gone", 60, lambda: not installed.get("pods")["items"])
    kinds = "daemonsets,deployments,jobs,services,networkpolicies,poddisruptionbudgets,roles,rolebindings,secrets"
    assert installed.get(kinds)["items"] == []
    of_release = f"--selector=app.kubernetes.io/instance={RELEASE}"
    cluster_wide = installed.cluster.get("clusterroles,clusterrolebindings", of_release)["items"]
    assert [one for one in cluster_wide if f"-{installed.namespace}-" in one["metadata"]["name"]] == []
    installed.install()


def test_uninstalling_stops_at_a_real_fault_and_says_so(installed: Release) -> None:
    with installed.gateway() as gateway:
        until_ready(gateway)
        fault = inject(gateway, "gpu-1", "blocked")
        Path("/dev/kmsg").write_text(f"NVRM: Xid (PCI:{fault['target']['pci']}): 48, pid=1, a real one\n")
        done = installed.uninstall()
        assert done.returncode != 0
        assert "BackoffLimitExceeded" in done.stderr
        assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json()["status"] == "blocked"
    said = installed.kubectl("logs", f"job/{RELEASE}-recover").splitlines()
    assert said[0].startswith(f"{fault['fault_id']} is blocked: ")
    assert said[-1].startswith("Something is left, so the agents stay.")
    assert set(installed.pods("node")) == set(installed.cluster.nodes)
    assert installed.uninstall("--no-hooks").returncode == 0
