"""The agent's chart on a real cluster, installed, upgraded and removed by the real helm as users do it."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.charts import AGENT_CHART, MANIFESTS
from tests.e2e.cluster import Cluster
from tests.e2e.image import AGENT_IMAGE
from tests.e2e.place import Trouble
from tests.e2e.running import try_to_run, wait_for

Json = Any

RELEASE = "test-fault-agent"  # not the one that somebody may use in the same cluster


@dataclass(frozen=True)
class Release:
    """One installation of the chart in a namespace of its own, with a folder of its own on every node's disk."""

    cluster: Cluster
    namespace: str
    folder: Path
    values: Json = field(default_factory=dict)

    def install(self) -> None:
        self.cluster.helm("install", RELEASE, str(AGENT_CHART), "--create-namespace", *self._options())
        self.wait()

    def upgrade(self, **node: Any) -> None:
        """With other values for the nodes."""
        self.cluster.helm("upgrade", RELEASE, str(AGENT_CHART), *self._options(**node))
        self.wait()

    def wait(self) -> None:
        for workload in (f"daemonset/{RELEASE}-node", f"deployment/{RELEASE}-gateway"):
            self.kubectl("rollout", "status", workload, "--timeout=120s")

    def uninstall(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["uninstall", RELEASE, f"--namespace={self.namespace}", "--wait", "--timeout=120s", *options]
        return try_to_run(self.cluster.helm_path, f"--kubeconfig={self.cluster.kubeconfig}", *command)

    def remove(self) -> None:
        """Whatever is left of it, whatever happened."""
        self.uninstall("--no-hooks")
        self.cluster.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=120s")

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments)

    def get(self, *arguments: str) -> Json:
        return self.cluster.get(f"--namespace={self.namespace}", *arguments)

    def pods(self, component: str) -> dict[str, Json]:
        """Node name -> the pod there that is not going."""
        found = self.get("pods", f"--selector=app.kubernetes.io/component={component}")["items"]
        return {pod["spec"]["nodeName"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def secret(self, name: str) -> dict[str, bytes]:
        data = self.get("secret", f"{RELEASE}-{name}")["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    @contextmanager
    def gateway(self) -> Iterator[httpx.Client]:
        """The API behind the Service, verified by the chart's own authority."""
        authority = self.folder / "ca.crt"
        authority.write_bytes(self.secret("tls")["ca.crt"])
        token = self.secret("token")["token"].decode()
        command = [
            self.cluster.kubectl_path,
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={self.namespace}",
        ]
        command += ["port-forward", f"service/{RELEASE}", ":8443"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout is not None
                opened = re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", forward.stdout.readline())
                assert opened is not None
                url, headers = f"https://localhost:{opened.group(1)}", {"Authorization": f"Bearer {token}"}
                with httpx.Client(base_url=url, headers=headers, timeout=20, verify=str(authority)) as client:
                    yield client
            finally:
                forward.terminate()

    def _options(self, **node: Any) -> list[str]:
        file = self.folder / "values.json"
        values = {**self.values, "node": {**self.values["node"], **node}}
        file.write_text(json.dumps(values))
        return [f"--namespace={self.namespace}", f"--values={file}"]


def release(cluster: Cluster, namespace: str, folder: Path) -> Release:
    """Every node of the cluster may be a victim, so the gateways have nowhere else to go."""
    repository, _, tag = AGENT_IMAGE.rpartition(":")
    inventory = {
        node: [{"index": gpu.index, "minor": gpu.index, "uuid": gpu.uuid, "pci": gpu.pci} for gpu in cluster.gpus(node)]
        for node in cluster.nodes
    }
    disk = f"/var/lib/{namespace}-{time.time_ns():x}"
    values = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "node": {"inventory": inventory, "stateDir": f"{disk}/state", "cudaDir": f"{disk}/cuda"},
        "gateway": {"awayFrom": {"mode": "preferred"}},
        "uninstall": {"within": 60},
    }
    return Release(cluster, namespace, folder, values)


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


def inject(gateway: httpx.Client, node: str, key: str) -> Json:
    body = {"node_name": node, "gpu_id": 0}
    answer = gateway.post("/api/v1/faults/gpu/inject/xid-79", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return answer.json()


def recover(gateway: httpx.Client, fault: Json) -> Json:
    answer = gateway.post(f"/api/v1/faults/{fault['fault_id']}/recover")
    assert answer.status_code == 200, answer.text
    return answer.json()


def until_ready(gateway: httpx.Client) -> Json:
    """Once all nodes answer: the gateway learns of new pods a moment later."""
    wait_for("the gateway answers for all nodes", 30, lambda: gateway.get("/readyz").status_code == 200)
    return gateway.get("/readyz").json()


def kernel_lines(since: int) -> list[str]:
    """This machine's kernel log from a record on; all nodes share it."""
    text = try_to_run("dmesg").stdout
    return text.splitlines()[since:]


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
    before = len(kernel_lines(0))
    with installed.gateway() as gateway:
        until_ready(gateway)
        fault = inject(gateway, "gpu-1", "round-trip")
        assert (fault["status"], fault["evidence"]["kernel_log"]) == ("active", "real")
        recovered = recover(gateway, fault)
    assert recovered["status"] == "recovered"
    written = kernel_lines(before)
    assert sum(line.endswith("GPU has fallen off the bus. gpu-1~round-trip") for line in written) == 1
    acknowledged = f"nvsentinel-gpu-reset: GPU reset executed: {fault['target']['gpu_uuid']}, success: true"
    assert sum(line.endswith(acknowledged) for line in written) == 1


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


def test_an_upgrade_without_a_change_restarts_nothing(installed: Release) -> None:
    before = {pod["metadata"]["uid"] for kind in ("node", "gateway") for pod in installed.pods(kind).values()}
    installed.upgrade()
    after = {pod["metadata"]["uid"] for kind in ("node", "gateway") for pod in installed.pods(kind).values()}
    assert after == before


def test_an_upgrade_keeps_the_faults_the_token_and_the_certificate(installed: Release) -> None:
    secrets = installed.secret("token"), installed.secret("tls")
    with installed.gateway() as gateway:
        faults = {node: inject(gateway, node, "upgrade") for node in installed.cluster.nodes}
        before = {pod["metadata"]["uid"] for pod in installed.pods("node").values()}
        installed.upgrade(maxActive=3)
        assert not before & {pod["metadata"]["uid"] for pod in installed.pods("node").values()}
        assert (installed.secret("token"), installed.secret("tls")) == secrets
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
    before = len(kernel_lines(0))
    done = installed.uninstall()
    assert done.returncode == 0, done.stderr
    written = kernel_lines(before)
    for fault in faults:
        assert any(line.endswith(f"{fault['target']['gpu_uuid']}, success: true") for line in written), fault
    wait_for("all pods are gone", 60, lambda: not installed.get("pods")["items"])
    kinds = "daemonsets,deployments,jobs,services,networkpolicies,poddisruptionbudgets,roles,rolebindings,secrets"
    assert installed.get(kinds)["items"] == []
    of_release = f"--selector=app.kubernetes.io/instance={RELEASE}"
    cluster_wide = installed.cluster.get("clusterroles,clusterrolebindings", of_release)["items"]
    assert [one for one in cluster_wide if f"-{installed.namespace}-" in one["metadata"]["name"]] == []
    installed.install()


def test_uninstalling_stops_at_a_real_fault_and_says_so(installed: Release) -> None:
    other = release(installed.cluster, installed.namespace, installed.folder)
    installed.remove()
    try:
        other.install()
        with other.gateway() as gateway:
            until_ready(gateway)
            fault = inject(gateway, "gpu-1", "blocked")
            Path("/dev/kmsg").write_text(f"NVRM: Xid (PCI:{fault['target']['pci']}): 48, pid=1, a real one\n")
            done = other.uninstall()
            assert done.returncode != 0
            assert "BackoffLimitExceeded" in done.stderr
            assert gateway.get(f"/api/v1/faults/{fault['fault_id']}").json()["status"] == "blocked"
        said = other.kubectl("logs", f"job/{RELEASE}-recover").splitlines()
        assert said[0].startswith("gpu-1~blocked is blocked: ")
        assert said[-1].startswith("Something is left, so the agents stay.")
        assert set(other.pods("node")) == set(other.cluster.nodes)
        assert other.uninstall("--no-hooks").returncode == 0
    finally:
        other.remove()
    with pytest.raises(Trouble):
        other.get("namespace", other.namespace)
