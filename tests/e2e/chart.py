"""The agent's chart installed in the cluster by the real helm, and the API behind its Service."""

import base64
import json
import re
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.deploy.charts import AGENT_CHART
from tests.e2e.cluster import Cluster
from tests.e2e.image import AGENT_IMAGE
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
    name: str = RELEASE

    def install(self) -> None:
        self.cluster.helm("install", self.name, str(AGENT_CHART), "--create-namespace", *self._options())
        self.wait()

    def upgrade(self, **node: Any) -> None:
        """With other values for the nodes."""
        self.cluster.helm("upgrade", self.name, str(AGENT_CHART), *self._options(**node))
        self.wait()

    def write_values(self, file: Path, **node: Any) -> None:
        """What helm has to be told; `node` are other values for the nodes."""
        file.write_text(json.dumps({**self.values, "node": {**self.values["node"], **node}}))

    def wait(self) -> None:
        for workload in (f"daemonset/{self.name}-node", f"deployment/{self.name}-gateway"):
            self.kubectl("rollout", "status", workload, "--timeout=120s")

    def rendered(self) -> list[Json]:
        """What helm would install."""
        text = self.cluster.helm("template", "--validate", self.name, str(AGENT_CHART), *self._options())
        return [one for one in yaml.safe_load_all(text) if one]

    def uninstall(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["uninstall", self.name, f"--namespace={self.namespace}", "--wait", "--timeout=120s", *options]
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
        stays = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return {pod["spec"]["nodeName"]: pod for pod in stays if "nodeName" in pod["spec"]}

    def has_another_agent(self, node: str, uid: str) -> bool:
        pod = self.pods("node").get(node)
        return pod is not None and pod["metadata"]["uid"] != uid

    def is_evicting(self, node: str) -> bool:
        """Whether pods that do not tolerate it have to leave."""
        taints = self.cluster.get("node", node)["spec"].get("taints", [])
        return any(taint["effect"] == "NoExecute" for taint in taints)

    def hold(self, pod: str, gpus: int, node: str) -> None:
        """Returns when the pod, which wants so many GPUs of the node, runs."""
        container = {
            "name": "worker",
            "image": AGENT_IMAGE,
            "imagePullPolicy": "Never",
            "command": ["sleep", "3600"],
            "resources": {"limits": {"nvidia.com/gpu": gpus}},
        }
        spec = {"nodeSelector": {"kubernetes.io/hostname": node}, "restartPolicy": "Never", "containers": [container]}
        self.kubectl("run", pod, f"--overrides={json.dumps({'spec': spec})}", f"--image={AGENT_IMAGE}")
        self.kubectl("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")

    def secret(self, name: str) -> dict[str, bytes]:
        """The one that the agents use as their `token` or `tls`."""
        own = self.values.get(name, {}).get("existingSecret", f"{self.name}-{name}")
        data = self.get("secret", own)["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    @contextmanager
    def gateway(self, away_from: str = "") -> Iterator[httpx.Client]:
        """The API of a gateway that runs on another node than `away_from`, verified by the chart's own authority."""
        ready = [node for node, pod in self.pods("gateway").items() if _is_ready(pod) and node != away_from]
        pod = self.pods("gateway")[ready[0]]["metadata"]["name"]
        trust = ssl.create_default_context(cadata=self.secret("tls")["ca.crt"].decode())
        trust.verify_flags |= ssl.VERIFY_X509_STRICT  # which newer Pythons demand
        token = self.secret("token")["token"].decode()
        command = [
            self.cluster.kubectl_path,
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={self.namespace}",
        ]
        command += ["port-forward", f"pod/{pod}", ":8443"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout is not None
                opened = re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", forward.stdout.readline())
                assert opened is not None
                url, headers = f"https://localhost:{opened.group(1)}", {"Authorization": f"Bearer {token}"}
                with httpx.Client(base_url=url, headers=headers, timeout=20, verify=trust) as client:
                    yield client
            finally:
                forward.terminate()

    def _options(self, **node: Any) -> list[str]:
        file = self.folder / "values.json"
        self.write_values(file, **node)
        return [f"--namespace={self.namespace}", f"--values={file}"]


def _is_ready(pod: Json) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def release(cluster: Cluster, namespace: str, folder: Path, name: str = RELEASE) -> Release:
    """Every node of the cluster may be a victim, so the gateways have nowhere else to go."""
    repository, _, tag = AGENT_IMAGE.rpartition(":")
    inventory = {
        node: [{"index": gpu.index, "minor": gpu.index, "uuid": gpu.uuid, "pci": gpu.pci} for gpu in cluster.gpus(node)]
        for node in cluster.nodes
    }
    disk = f"/var/lib/{namespace}-{time.time_ns():x}"
    values = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "node": {"inventory": inventory, "stateDir": f"{disk}/state"},
        "gateway": {"awayFrom": {"mode": "preferred"}},
        "uninstall": {"within": 60},
    }
    return Release(cluster, namespace, folder, values, name)


def inject(gateway: httpx.Client, node: str, key: str) -> Json:
    body = {"node_name": node, "gpu_id": 0}
    name = {"Idempotency-Key": f"{key}-{secrets.token_hex(4)}"}  # the kernel log remembers earlier runs
    answer = gateway.post("/api/v1/faults/gpu/inject/xid-79", json=body, headers=name)
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


def kernel_lines_since(fault: Json) -> list[str]:
    """This machine's kernel log from the fault's own line on, which has to be there once; all nodes share it."""
    lines = try_to_run("dmesg").stdout.splitlines()
    (begin,) = (at for at, line in enumerate(lines) if line.endswith(f" {fault['fault_id']}"))
    return lines[begin:]


def is_acknowledged(fault: Json) -> bool:
    line = f"nvsentinel-gpu-reset: GPU reset executed: {fault['target']['gpu_uuid']}, success: true"
    return sum(one.endswith(line) for one in kernel_lines_since(fault)) == 1
