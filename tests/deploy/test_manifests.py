"""The agent's chart as it is rendered: valid objects, options that the programs accept, values that have effect."""

import gzip
import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from fault_agent import __version__
from scenario_runner.lab.apiserver.schema import Schemas
from tests.deploy.charts import AGENT_CHART, MANIFESTS, ROOT
from tests.deploy.documents import AGENT_DEFAULTS, AGENT_EVERYTHING, AGENT_PLAIN, AGENTS, Container, Documents

Json = Any

SCHEMA = json.loads(gzip.decompress((ROOT / "scenario_runner/lab/apiserver/kubernetes-1.37.json.gz").read_bytes()))
DEFINITIONS = SCHEMA["definitions"]
POD_TEMPLATE = {"$ref": "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"}
each = pytest.mark.parametrize("documents", AGENTS, ids=lambda documents: documents.name)


def schema_of(obj: Json) -> Json | None:
    group, _, version = obj["apiVersion"].rpartition("/")
    wanted = {"group": group, "version": version, "kind": obj["kind"]}
    for name, one in DEFINITIONS.items():
        if wanted in one.get("x-kubernetes-group-version-kind", ()):
            return {"$ref": f"#/definitions/{name}"}
    return None


def misfits(obj: Json, schema: Json) -> list[Any]:
    findings = Schemas(DEFINITIONS).walk(json.loads(json.dumps(obj)), schema)
    return [*findings.unknown, *findings.mistyped, *findings.problems]


@each
def test_every_object_fits_the_schema_of_kubernetes(documents: Documents) -> None:
    known = [(obj, schema) for obj in documents.objects if (schema := schema_of(obj)) is not None]
    assert {obj["kind"] for obj, _ in known} >= {"Deployment", "Service", "ServiceAccount"}
    for obj, schema in known:
        assert misfits(obj, schema) == []


@each
def test_every_pod_template_fits_the_schema_of_kubernetes(documents: Documents) -> None:
    templates = [obj["spec"]["template"] for obj in documents.objects if "template" in (obj.get("spec") or {})]
    assert len(templates) >= 2
    for template in templates:
        assert misfits(template, POD_TEMPLATE) == []


def test_a_misfit_would_be_found() -> None:
    template = {"spec": {"containers": [{"name": "a", "imagePullPolicy": 3, "livelinessProbe": {}}]}}
    assert misfits(template, POD_TEMPLATE) == [
        "spec.containers[0].livelinessProbe",
        "spec.containers[0].imagePullPolicy must be of type string",
    ]


@each
def test_every_program_accepts_its_options(documents: Documents) -> None:
    roles = {container.where: container.options() for container in documents.containers()}
    assert {"node", "gateway"} <= {getattr(chosen, "command", None) for chosen in roles.values()}


@each
def test_the_ports_of_options_containers_probes_and_services_agree(documents: Documents) -> None:
    agent, gateway = documents.container("agent"), documents.container("gateway")
    for container in (agent, gateway):
        port = int(container.options().listen.rpartition(":")[2])
        assert container.raw["ports"] == [{"name": "https", "containerPort": port, "protocol": "TCP"}]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container.raw[probe]["httpGet"] == {"path": "/health", "port": "https", "scheme": "HTTPS"}
    assert gateway.options().node_port == agent.raw["ports"][0]["containerPort"]
    (port,) = documents.one("Service")["spec"]["ports"]
    assert port["targetPort"] == "https"


@each
def test_the_gateway_watches_exactly_the_agents_pods(documents: Documents) -> None:
    labels = documents.one("DaemonSet")["spec"]["template"]["metadata"]["labels"]
    chosen = documents.container("gateway").options()
    assert dict(part.split("=") for part in chosen.roster_from_pods.split(",")) == labels
    assert chosen.namespace == documents.one("DaemonSet")["metadata"]["namespace"]


def paths_of(container: Container) -> list[str]:
    """Every path among the arguments."""
    values = (text.partition("=")[2].removeprefix("real:") for text in container.raw["args"])
    return [value for value in values if value.startswith("/") and not value.startswith("/proc/")]


@each
def test_every_path_is_inside_something_mounted(documents: Documents) -> None:
    for container in documents.containers():
        mounts = [PurePosixPath(mount["mountPath"]) for mount in container.raw["volumeMounts"]]
        paths = paths_of(container)
        assert paths, container.where
        for path in paths:
            assert any(_meet(PurePosixPath(path), mount) for mount in mounts), (container.where, path)


def _meet(path: PurePosixPath, mount: PurePosixPath) -> bool:
    """Whether a path lies in a mount, or is a folder of which only a part is mounted."""
    return path.is_relative_to(mount) or mount.is_relative_to(path)


@each
def test_every_mount_has_its_volume_and_every_volume_a_mount(documents: Documents) -> None:
    for where, pod in documents.pods():
        containers = [*pod.get("initContainers", ()), *pod["containers"]]
        mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}, where


def test_nodes_and_xids_can_be_limited() -> None:
    node, gateway = AGENT_EVERYTHING.container("agent").options(), AGENT_EVERYTHING.container("gateway").options()
    assert (node.allow_xids, node.max_active) == (frozenset({79, 94}), 2)
    assert gateway.allow_nodes == frozenset({"gpu-1", "gpu-2"})
    assert AGENT_DEFAULTS.container("agent").options().allow_xids is None
    assert AGENT_DEFAULTS.container("gateway").options().allow_nodes is None


def test_an_inventory_from_the_values_is_read_as_the_agent_reads_it(tmp_path: Path) -> None:
    from fault_agent.inventory import Gpu, Inventory

    files = AGENT_EVERYTHING.one("ConfigMap")["data"]
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    chosen = AGENT_EVERYTHING.container("agent").options()
    found = Inventory.load("gpu-1", tmp_path / chosen.inventory.name)
    assert found.gpus == (Gpu(0, 1, "GPU-0a", "0000:17:00"), Gpu(1, 0, "GPU-0b", "0000:18:00"))
    assert files["gpu-2.json"] == '{"gpus":[]}'
    assert AGENT_DEFAULTS.container("agent").options().inventory is None


def test_a_label_of_ones_own_can_replace_the_one_of_the_nodes() -> None:
    pod = AGENT_EVERYTHING.one("DaemonSet")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"accelerator": "nvidia", "pool": "drills"}


def test_a_digest_wins_over_a_tag_and_the_version_is_the_tag_otherwise() -> None:
    digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    images = {one.raw["image"] for one in AGENT_EVERYTHING.containers()}
    assert images == {f"images.example/gpu/fault-agent@{digest}"}
    assert {one.raw["image"] for one in AGENT_DEFAULTS.containers()} == {f"registry.example/fault-agent:{__version__}"}


def test_the_chart_has_the_version_of_the_agent() -> None:
    chart = yaml.safe_load((AGENT_CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_plain_manifests_hold_no_secret_and_nothing_of_helm() -> None:
    assert AGENT_PLAIN.of_kind("Secret") == []
    text = "".join(path.read_text() for path in sorted(MANIFESTS.rglob("*.yaml")))
    assert "helm.sh/" not in text
    assert "managed-by" not in text
    volumes = [volume for _, pod in AGENT_PLAIN.pods() for volume in pod["volumes"] if "secret" in volume]
    assert {volume["secret"]["secretName"] for volume in volumes} == {"fault-agent-token", "fault-agent-tls"}


def test_plain_manifests_make_their_namespace_first() -> None:
    files = sorted(path.name for path in MANIFESTS.glob("*.yaml"))
    assert files[0] == "1-namespace.yaml"
    namespace = AGENT_PLAIN.one("Namespace")["metadata"]
    assert namespace["name"] == AGENT_PLAIN.one("DaemonSet")["metadata"]["namespace"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


def test_recovering_is_no_part_of_applying_the_plain_manifests() -> None:
    (job,) = AGENT_PLAIN.of_kind("Job")
    assert job == next(yaml.safe_load_all((MANIFESTS / "before-delete/recover.yaml").read_text()))


@each
def test_everything_has_limits_and_the_labels_of_its_release(documents: Documents) -> None:
    for container in documents.containers():
        assert "memory" in container.raw["resources"]["limits"], container.where
    for obj in documents.objects:
        if obj["kind"] != "Namespace":
            assert obj["metadata"]["labels"]["app.kubernetes.io/name"] == "fault-agent"
