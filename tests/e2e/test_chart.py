"""The agent's chart on a real cluster, installed, upgraded and removed by the real helm as users do it."""

import json
import re
import secrets
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


def test_whoever_was_given_a_gpu_is_known_as_its_holder(installed: Release) -> None:
    def held() -> list[Json]:
        gpus = gateway.get("/api/v1/gpus", params={"node_name": "gpu-3"}).json()["gpus"]
        return [one for gpu in gpus for one in gpu["held_by"]]

    first, second = ({"namespace": installed.namespace, "pod": pod, "container": "worker"} for pod in ("one", "both"))
    with installed.gateway() as gateway:
        installed.hold("one", 1, "gpu-3")
        assert held() == [first]
        installed.kubectl("delete", "pod", "one", "--grace-period=1")
        installed.hold("both", 2, "gpu-3")
        assert held() == [second, second]
        installed.kubectl("delete", "pod", "both", "--grace-period=1")


def test_a_fault_is_written_into_the_kernel_log_and_taken_back(installed: Release) -> None:
    with installed.gateway() as gateway:
        until_ready(gateway)
        fault = inject(gateway, "gpu-1", "round-trip")
        assert (fault["status"], fault["evidence"]["kernel_log"]) == ("active", "real")
        assert not is_acknowledged(fault)
        assert recover(gateway, fault)["status"] == "recovered"
    assert is_acknowledged(fault)


ASKS = f"""
import json, ssl, urllib.error, urllib.request
trust = ssl.create_default_context(cafile="/tls/ca.crt")
token = open("/token/token").read()
def ask(path, body=None, **headers):
    url, data = "https://{RELEASE}.%s.svc:8443" + path, None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, dict(headers, **{{"Content-Type": "application/json"}}))
        with urllib.request.urlopen(request, context=trust, timeout=20) as answer:
            return answer.status, json.load(answer).get("status")
    except urllib.error.HTTPError as error:
        return error.code, None
us = {{"Authorization": "Bearer " + token, "Idempotency-Key": "service-%s"}}
print(*ask("/health"), *ask("/readyz"))
print(*ask("/api/v1/faults/gpu/inject/xid-79", {{"node_name": "gpu-1"}}, **us))
print(*ask("/api/v1/faults/gpu-1~service-%s/recover", {{}}, **us))
"""


def test_the_service_is_reached_by_its_name_and_by_nobody_without_the_token(installed: Release) -> None:
    name = secrets.token_hex(4)
    container = {
        "name": "asks",
        "image": AGENT_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", ASKS % (installed.namespace, name, name)],
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("tls", "token")],
    }
    volumes = [{"name": name, "secret": {"secretName": f"{RELEASE}-{name}"}} for name in ("tls", "token")]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    installed.kubectl("run", "asks", f"--overrides={json.dumps({'spec': spec})}", f"--image={AGENT_IMAGE}")
    try:
        installed.kubectl("wait", "pod/asks", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        said = installed.kubectl("logs", "asks").splitlines()
    finally:
        installed.kubectl("delete", "pod", "asks", "--grace-period=1")
    assert said == ["200 ok 401 None", "201 active", "200 recovered"]


def test_an_agent_whose_pod_is_deleted_forgets_nothing(installed: Release) -> None:
    with installed.gateway() as gateway:
        fault = inject(gateway, "gpu-2", "pod-deleted")
        old = installed.pods("node")["gpu-2"]["metadata"]
        installed.kubectl("delete", "pod", old["name"])
        wait_for("gpu-2 has another agent", 60, lambda: installed.has_another_agent("gpu-2", old["uid"]))
        installed.wait()
        until_ready(gateway)
        assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json() == fault
        assert recover(gateway, fault)["status"] == "recovered"


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
    with installed.gateway(away_from="gpu-2") as gateway:
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


def test_an_agent_stays_on_a_node_that_is_off_the_network(installed: Release) -> None:
    uid = installed.pods("node")["gpu-2"]["metadata"]["uid"]
    with installed.gateway() as gateway:
        fault = inject(gateway, "gpu-2", "network")
    installed.cluster.cut("gpu-2")
    try:
        wait_for("gpu-2 is not ready", 60, lambda: installed.cluster.condition("gpu-2") == "Unknown")
        with installed.gateway(away_from="gpu-2") as gateway:
            unreachable = gateway.get("/api/v1/faults").json()["unreachable"]
        assert [one["node"] for one in unreachable] == ["gpu-2"]
        wait_for("gpu-2 is tainted", 30, lambda: installed.is_evicting("gpu-2"))
    finally:
        installed.cluster.join("gpu-2")
    installed.cluster.wait_until_ready("gpu-2")
    installed.wait()
    with installed.gateway() as gateway:
        until_ready(gateway)
        assert installed.pods("node")["gpu-2"]["metadata"]["uid"] == uid
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
    assert may(installed, "gateway", "watch", "pods")
    for account, what in (
        ("node", ["list", "nodes"]),
        ("node", ["patch", "nodes"]),
        ("node", ["list", "pods"]),
        ("node", ["get", "secrets"]),
        ("gateway", ["list", "pods", "--all-namespaces"]),
        ("gateway", ["get", "secrets"]),
        ("gateway", ["delete", "pods"]),
    ):
        assert not may(installed, account, *what), (account, what)


def test_only_the_node_agents_need_more_than_a_restricted_namespace(installed: Release) -> None:
    label = ("label", "namespace", installed.namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    said = installed.cluster.try_kubectl(*label, "--dry-run=server").stderr
    named = re.findall(rf"{RELEASE}-[a-z]+", said)
    assert set(named) == {f"{RELEASE}-node"}, said
    assert "privileged" in said


def test_the_api_server_takes_the_plain_manifests(installed: Release) -> None:
    names = sorted(MANIFESTS.rglob("*.yaml"))
    text = "---\n".join(path.read_text() for path in names if path.name != "1-namespace.yaml")
    for namespace in ("scenario-runner", "default", "dynamo"):
        text = text.replace(f"  namespace: {namespace}\n", f"  namespace: {installed.namespace}\n")
    done = installed.cluster.try_kubectl("apply", "--dry-run=server", "--filename=-", stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("(server dry run)") == len(re.findall(r"^kind: ", text, re.MULTILINE))


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
    installed.cluster.power_off("gpu-1")  # what a person would do about it
    installed.cluster.power_on("gpu-1")
    installed.cluster.wait_until_ready("gpu-1")
    installed.wait()


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


def test_agents_use_the_token_and_the_certificate_of_secrets_that_are_there(
    real_cluster: Cluster, tmp_path: Path
) -> None:
    made = release(real_cluster, "own-secrets", tmp_path)
    made.remove()
    ours = {one["metadata"]["name"]: one for one in made.rendered() if one["kind"] == "Secret"}
    made.values.update({name: {"existingSecret": f"our-{name}"} for name in ("token", "tls")})
    try:
        real_cluster.kubectl("create", "namespace", made.namespace)
        for name in ("token", "tls"):
            secret = ours[f"{RELEASE}-{name}"] | {"metadata": {"name": f"our-{name}"}}
            real_cluster.kubectl(f"--namespace={made.namespace}", "apply", "--filename=-", stdin=json.dumps(secret))
        made.install()
        with made.gateway() as gateway:
            until_ready(gateway)
            assert recover(gateway, inject(gateway, "gpu-1", "own-secrets"))["status"] == "recovered"
        done = made.uninstall()
        assert done.returncode == 0, done.stderr
        assert [one["metadata"]["name"] for one in made.get("secrets")["items"]] == ["our-tls", "our-token"]
    finally:
        made.remove()
