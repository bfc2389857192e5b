"""The runner's chart as it is rendered: permissions with their reasons, and jobs that the runner's options accept."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from scenario_runner.adapters.kubeconfig import IN_CLUSTER
from scenario_runner.app import preflight
from scenario_runner.app.agents import NAMESPACE as AGENTS_NAMESPACE
from scenario_runner.app.agents import SELECTOR
from scenario_runner.app.backend import Address
from scenario_runner.cli import run
from scenario_runner.core.step import Step
from scenario_runner.core.targets import ChatPrompt, EndpointTarget, WorkloadTarget
from scenario_runner.steps import STEPS
from scenario_runner.steps.patch_cuda import PatchCuda
from scenario_runner.workloads.kinds import KINDS
from tests.deploy.charts import ROOT, RUNNER_CHART
from tests.deploy.documents import (
    AGENT_DEFAULTS,
    RUNNER_DEFAULTS,
    RUNNER_EVERYTHING,
    RUNNER_PLAIN,
    RUNNERS,
    Container,
    Documents,
)
from tests.deploy.test_manifests import POD_TEMPLATE, misfits
from tests.deploy.test_permissions import RESTRICTED

Json = Any
Rule = tuple[str, str, str]  # namespace, or "" for the whole cluster; verb; resource.group

each = pytest.mark.parametrize("documents", RUNNERS, ids=lambda documents: documents.name)


def drills(documents: Documents) -> list[Container]:
    return [one for one in documents.containers() if one.raw["name"] == "drill"]


def options(container: Container) -> Json:
    """The arguments as `scenario-runner run` understands them; a wrong one ends the test."""
    command, *arguments = container.raw["args"]
    assert (container.raw["command"], command) == (["scenario-runner"], "run")
    return run.make_context("run", arguments).params


@each
def test_every_object_of_the_runner_is_well_formed(documents: Documents) -> None:
    jobs = documents.of_kind("CronJob")
    assert jobs
    for job in jobs:
        assert misfits(job["spec"]["jobTemplate"]["spec"]["template"], POD_TEMPLATE) == []
        assert job["spec"]["suspend"] is True
        assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in documents.objects]
    assert len(names) == len(set(names))


@each
def test_a_job_gives_options_that_the_runner_has(documents: Documents) -> None:
    for container in drills(documents):
        chosen = options(container)
        assert chosen["yes"] is True
        mounts = {mount["mountPath"] for mount in container.raw["volumeMounts"]}
        assert {str(chosen["agent_token_file"].parent), str(chosen["agent_ca"].parent)} <= mounts
        assert str(chosen["report_dir"]).startswith("/work/")


@each
def test_a_drill_runs_restricted_and_has_its_time_to_take_back(documents: Documents) -> None:
    for container in drills(documents):
        assert container.security() == RESTRICTED
        assert container.pod["terminationGracePeriodSeconds"] >= 60
        assert container.pod["serviceAccountName"] == "scenario-runner"


def test_the_drill_that_comes_with_the_chart_is_a_shipped_scenario() -> None:
    (container,) = drills(RUNNER_DEFAULTS)
    (path,) = options(container)["paths"]
    assert (ROOT / "scenarios" / path.name).is_file()
    assert str(path) == f"/scenarios/{path.name}"


def test_a_scenario_of_ones_own_is_mounted_where_its_drill_looks() -> None:
    (container,) = drills(RUNNER_EVERYTHING)
    chosen = options(container)
    assert [str(path) for path in chosen["paths"]] == ["/files/ours.yaml"]
    assert chosen["variables"] == ("calm=3s",)
    assert RUNNER_EVERYTHING.one("ConfigMap")["data"] == {"ours.yaml": "version: 1\nname: ours\n"}
    assert {"name": "files", "mountPath": "/files", "readOnly": True} in container.raw["volumeMounts"]


def test_a_drill_reaches_the_agents_that_their_chart_installs() -> None:
    (container,) = drills(RUNNER_DEFAULTS)
    service = AGENT_DEFAULTS.one("Service")
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    assert options(container)["agent"] == f"https://{name}.{namespace}.svc:{service['spec']['ports'][0]['port']}"
    secrets = {volume["secret"]["secretName"] for volume in container.pod["volumes"] if "secret" in volume}
    assert secrets == {one["metadata"]["name"] for one in AGENT_DEFAULTS.of_kind("Secret")}


def test_the_runner_finds_the_service_of_the_agents_chart_by_its_labels() -> None:
    service = AGENT_DEFAULTS.one("Service")["metadata"]
    assert service["namespace"] == AGENTS_NAMESPACE
    assert dict(part.split("=") for part in SELECTOR.split(",")).items() <= service["labels"].items()
    assert {f"{service['name']}-token", f"{service['name']}-tls"} == {
        one["metadata"]["name"] for one in AGENT_DEFAULTS.of_kind("Secret")
    }


def granted(documents: Documents) -> set[Rule]:
    """Everything that the roles allow."""
    return {
        (role["metadata"].get("namespace", ""), verb, _named(resource, group, rule))
        for kind in ("ClusterRole", "Role")
        for role in documents.of_kind(kind)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _named(resource: str, group: str, rule: Json) -> str:
    names = ",".join(rule.get("resourceNames", ()))
    return resource + (f".{group}" if group else "") + (f" {names}" if names else "")


def in_the_table() -> set[Rule]:
    """The table of permissions in the README, with `dynamo` for the namespace of a drill."""
    text = (RUNNER_CHART.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| `([a-z, ]+)` \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    places = {
        "the cluster": "",
        "`scenario-runner`": "scenario-runner",
        "`default`": "default",
        "each namespace": "dynamo",
    }
    return {
        (places[where.strip()], verb, resource)
        for resource, verbs, place, _ in rows
        for where in place.removesuffix(" (outside)").split(" and ")
        for verb in verbs.split(", ")
    }


def test_the_table_of_permissions_is_what_is_granted() -> None:
    outside = {rule for rule in granted(RUNNER_EVERYTHING) if rule[0] == "models-a" and "services/proxy" in rule[2]}
    outside |= {rule for rule in granted(RUNNER_EVERYTHING) if rule[0] == "scenario-runner"}
    with_outside = granted(RUNNER_DEFAULTS) | {
        (namespace.replace("models-a", "dynamo"), verb, resource.replace("our-token", "fault-agent-token"))
        for namespace, verb, resource in outside
    }
    assert in_the_table() == with_outside


@each
def test_nothing_is_changed_but_claims_events_and_what_carries_the_cuda_library(documents: Documents) -> None:
    changing = {rule for rule in granted(documents) if rule[1] not in {"get", "list", "watch"}}
    kinds = {resource for _, _, resource in changing}
    workloads = {"deployments.apps", "statefulsets.apps", "daemonsets.apps"}
    workloads |= {"leaderworkersets.leaderworkerset.x-k8s.io", "dynamographdeployments.nvidia.com"}
    assert kinds - {"services/proxy"} == {"leases.coordination.k8s.io", "configmaps", "events", "pods", *workloads}
    assert {verb for _, verb, resource in changing if resource in workloads} == {"patch"}
    assert {namespace for namespace, _, resource in changing if resource != "events"} <= {
        "scenario-runner", "dynamo", "models-a", "default"
    }  # fmt: skip
    assert not any(resource.startswith("*") or verb == "*" for _, verb, resource in granted(documents))


def test_only_those_outside_reach_agents_through_the_api_server() -> None:
    assert RUNNER_DEFAULTS.of_kind("Role") == [
        one for one in RUNNER_DEFAULTS.of_kind("Role") if one["metadata"]["name"] == "scenario-runner"
    ]
    bindings = [
        one for one in RUNNER_EVERYTHING.of_kind("RoleBinding") if one["roleRef"]["name"] == "scenario-runner-outside"
    ]
    assert {one["metadata"]["namespace"] for one in bindings} == {"scenario-runner", "default", "models-a"}
    for one in bindings:
        assert one["subjects"] == [
            {"kind": "Group", "name": "oidc:sre", "apiGroup": "rbac.authorization.k8s.io"},
            {"kind": "ServiceAccount", "name": "pipeline", "namespace": "ci"},
        ]


@each
def test_every_role_is_bound_where_it_is(documents: Documents) -> None:
    for kind in ("Role", "ClusterRole"):
        roles = {(one["metadata"].get("namespace"), one["metadata"]["name"]) for one in documents.of_kind(kind)}
        bound = {
            (one["metadata"].get("namespace"), one["roleRef"]["name"]) for one in documents.of_kind(f"{kind}Binding")
        }
        assert roles == bound


def test_the_charts_version_is_the_runners() -> None:
    import tomllib

    chart = yaml.safe_load((RUNNER_CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert {one.raw["image"] for one in RUNNER_PLAIN.containers()} == {f"registry.example/scenario-runner:{version}"}


def asked(agent_url: str, context: str, target: EndpointTarget) -> set[Rule]:
    """What the runner asks the API server whether it may, before a drill in the namespace `dynamo`."""
    workloads = {
        word: WorkloadTarget(word, "dynamo", "w", "uid", "app=w", 1, kind.api_versions[0])
        for word, kind in KINDS.items()
    }
    steps = [SimpleNamespace(step=PatchCuda(target=word), when=True) for word in KINDS]
    plan: Any = SimpleNamespace(namespace="dynamo", targets={"web": target, **workloads}, steps=steps)
    address = Address("", context=context, agent_url=agent_url)
    where: Any = SimpleNamespace(address=address, agent=None)
    return {
        (one.namespace, one.verb, one.resource + (f".{one.group}" if one.group else ""))
        for one in preflight.needs(plan, where)
    }


def without_names(rules: set[Rule]) -> set[Rule]:
    return {(namespace, verb, resource.partition(" ")[0]) for namespace, verb, resource in rules}


def test_a_drill_in_the_cluster_may_exactly_what_it_asks_for() -> None:
    (container,) = drills(RUNNER_DEFAULTS)
    url = options(container)["agent"]
    assert without_names(granted(RUNNER_DEFAULTS)) == asked(url, IN_CLUSTER, EndpointTarget("http://web"))


def test_somebody_outside_may_what_the_runner_asks_for_and_find_the_agents() -> None:
    target = EndpointTarget(
        "", service="dynamo/web:80", way="api-proxy", chat=ChatPrompt("chat", "auto", "hello", 1, stream=False)
    )
    found = {("scenario-runner", "list", "services"), ("scenario-runner", "get", "secrets")}
    may = {(namespace.replace("models-a", "dynamo"), *rest) for namespace, *rest in granted(RUNNER_EVERYTHING)}
    events = {("default", verb, "events") for verb in ("create", "list", "watch")}
    may = {rule for rule in may if rule[0] != "default"} | events
    assert without_names(may) == asked("", "prod", target) | found


def keys(content: Json) -> Iterator[str]:
    """Every key, however deep."""
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    yield from content if isinstance(content, dict) else ()
    for one in inner:
        yield from keys(one)


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda file: file.stem)
def test_no_step_of_a_shipped_scenario_needs_more(file: Path) -> None:
    kinds = set(STEPS) & set(keys(yaml.safe_load(file.read_text())))
    assert kinds
    own = {kind for kind in kinds if STEPS[kind].needs is not Step.needs}
    assert own <= {"patch_cuda"}, "the chart has to grant it, too, and what a drill asks for (above) has to name it"
