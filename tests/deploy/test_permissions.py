"""What the agent's chart allows: privileges, paths of the node, permissions, connections, places for pods."""

from typing import Any

import pytest

from tests.deploy.documents import AGENT_DEFAULTS, AGENT_EVERYTHING, AGENTS, Documents

Json = Any

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

each = pytest.mark.parametrize("documents", AGENTS, ids=lambda documents: documents.name)


@each
def test_only_the_agent_itself_is_privileged(documents: Documents) -> None:
    privileged = [one.where for one in documents.containers() if one.security().get("privileged")]
    assert privileged == [f"DaemonSet {documents.one('DaemonSet')['metadata']['name']}: agent"]
    for _, pod in documents.pods():
        assert not {"hostNetwork", "hostIPC"} & set(pod)


@each
def test_whatever_runs_off_the_nodes_is_restricted(documents: Documents) -> None:
    off_nodes = [one for one in documents.containers() if not one.where.startswith("DaemonSet")]
    assert off_nodes
    for container in off_nodes:
        assert container.security() == RESTRICTED, container.where
        assert {next(iter(set(volume) - {"name"})) for volume in container.pod["volumes"]} == {"secret"}


def test_processes_of_the_node_are_seen_by_the_agent_alone_and_only_if_wanted() -> None:
    seeing = [where for documents in AGENTS for where, pod in documents.pods() if pod.get("hostPID")]
    assert seeing == ["DaemonSet fault-agent-node"] * 2
    assert "hostPID" not in AGENT_EVERYTHING.one("DaemonSet")["spec"]["template"]["spec"]


def host_paths(documents: Documents) -> dict[str, Json]:
    volumes = documents.one("DaemonSet")["spec"]["template"]["spec"]["volumes"]
    return {volume["name"]: volume["hostPath"] for volume in volumes if "hostPath" in volume}


def test_the_node_lends_six_paths_and_no_other() -> None:
    assert host_paths(AGENT_DEFAULTS) == {
        "kmsg": {"path": "/dev/kmsg", "type": "CharDevice"},
        "state": {"path": "/var/lib/fault-agent", "type": "DirectoryOrCreate"},
        "cuda": {"path": "/run/scenario-runner/cuda", "type": "DirectoryOrCreate"},
        "boot-id": {"path": "/proc/sys/kernel/random/boot_id", "type": "File"},
        "kubelet": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"},
        "pod-logs": {"path": "/var/log/pods", "type": "Directory"},
    }
    (agent,) = AGENT_DEFAULTS.one("DaemonSet")["spec"]["template"]["spec"]["containers"]
    written = {mount["name"] for mount in agent["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"kmsg", "state", "cuda"}


def test_an_agent_stays_on_nodes_with_any_taint() -> None:
    pod = AGENT_DEFAULTS.one("DaemonSet")["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}


@each
def test_two_agents_never_share_a_node(documents: Documents) -> None:
    assert documents.one("DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0


@each
def test_the_end_of_a_pod_takes_nothing_back(documents: Documents) -> None:
    assert [one.where for one in documents.containers() if "lifecycle" in one.raw] == []


def test_uninstalling_first_recovers_everything() -> None:
    job = AGENT_DEFAULTS.one("Job")
    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-delete",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }
    chosen = AGENT_DEFAULTS.container("recover").options()
    assert job["spec"]["activeDeadlineSeconds"] > chosen.within
    service = AGENT_DEFAULTS.one("Service")
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    assert chosen.gateway == f"https://{name}.{namespace}.svc:{service['spec']['ports'][0]['port']}"
    assert AGENT_EVERYTHING.of_kind("Job") == []


def without(label: str, value: str) -> Json:
    return {"matchExpressions": [{"key": label, "operator": "NotIn", "values": [value]}]}


VICTIM, WITH_AGENT = without("scenario-runner/allow", "true"), without("nvidia.com/gpu.present", "true")


def test_gateways_stay_away_from_victims_and_from_each_other() -> None:
    deployment = AGENT_DEFAULTS.one("Deployment")
    affinity = deployment["spec"]["template"]["spec"]["affinity"]
    assert affinity["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [VICTIM]},
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 50, "preference": WITH_AGENT}],
    }
    (apart,) = affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert apart["podAffinityTerm"]["labelSelector"] == deployment["spec"]["selector"]
    assert deployment["spec"]["replicas"] == 2
    assert AGENT_DEFAULTS.one("PodDisruptionBudget")["spec"] == {
        "minAvailable": 1,
        "selector": deployment["spec"]["selector"],
    }
    assert AGENT_EVERYTHING.of_kind("PodDisruptionBudget") == []


def test_the_job_that_recovers_runs_on_a_victim_rather_than_never() -> None:
    node = AGENT_DEFAULTS.one("Job")["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    assert node == {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "preference": VICTIM},
            {"weight": 50, "preference": WITH_AGENT},
        ]
    }


def test_the_permissions_are_these_and_no_other() -> None:
    granted = {
        role["metadata"]["name"]: role["rules"]
        for kind in ("Role", "ClusterRole")
        for role in AGENT_DEFAULTS.of_kind(kind)
    }
    assert granted == {
        "fault-agent-scenario-runner-node": [
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
        ],
        "fault-agent-gateway": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}],
    }
    recover = AGENT_DEFAULTS.one("Job")["spec"]["template"]["spec"]
    assert recover["automountServiceAccountToken"] is False


@each
def test_every_binding_names_a_role_and_an_account_that_exist(documents: Documents) -> None:
    accounts = {one["metadata"]["name"] for one in documents.of_kind("ServiceAccount")}
    for kind in ("Role", "ClusterRole"):
        roles = {one["metadata"]["name"] for one in documents.of_kind(kind)}
        bindings = documents.of_kind(f"{kind}Binding")
        assert {one["roleRef"]["name"] for one in bindings} == roles
        assert {subject["name"] for one in bindings for subject in one["subjects"]} <= accounts
    used = {pod["serviceAccountName"] for _, pod in documents.pods() if "serviceAccountName" in pod}
    assert used == accounts


def allowed(policy: Json, way: str) -> list[tuple[list[Json], list[int]]]:
    """Who, and on which ports."""
    peers = "from" if way == "ingress" else "to"
    return [(one.get(peers, []), [port["port"] for port in one["ports"]]) for one in policy["spec"][way]]


def test_agents_are_asked_by_the_gateway_only() -> None:
    policy = AGENT_DEFAULTS.one("NetworkPolicy", "-node")
    gateway = AGENT_DEFAULTS.one("Deployment")["spec"]["selector"]
    assert policy["spec"]["podSelector"] == AGENT_DEFAULTS.one("DaemonSet")["spec"]["selector"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert allowed(policy, "ingress") == [([{"podSelector": gateway}], [9443])]
    assert allowed(policy, "egress") == [([], [443, 6443])]


def test_the_gateway_is_asked_by_its_namespace_by_clients_and_by_the_api_server_only() -> None:
    policy = AGENT_DEFAULTS.one("NetworkPolicy", "-gateway")
    agents = AGENT_DEFAULTS.one("DaemonSet")["spec"]["selector"]
    assert policy["spec"]["podSelector"] == AGENT_DEFAULTS.one("Deployment")["spec"]["selector"]
    (entrance,) = allowed(policy, "ingress")
    assert entrance == (
        [
            {"podSelector": {}},
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"fault-agent/client": "true"}}},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
        ],
        [8443],
    )
    assert allowed(policy, "egress") == [([{"podSelector": agents}], [9443]), ([], [443, 6443])]
    assert AGENT_EVERYTHING.of_kind("NetworkPolicy") == []
