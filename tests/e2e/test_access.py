"""The runner on a cluster that is not its own: who it may be, what it says before it touches anything, and drills."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.access import Outside
from tests.e2e.cluster import Cluster
from tests.e2e.image import RUNNER_IMAGE
from tests.e2e.namespace import Namespace

pytestmark = pytest.mark.e2e

SENT = {"send_requests": {"target": "web", "rate": "4/s", "for": "5s"}, "id": "calm"}
GOOD = {"assert_success": {"load": "calm", "ratio": "at least 0.99"}}


@pytest.fixture
def outside(cluster: Cluster, tmp_path: Path) -> Outside:
    return Outside(cluster, tmp_path)


@pytest.fixture
def control(outside: Outside, namespace: Namespace) -> str:
    """A drill without a fault: requests to two pods."""
    namespace.deploy("web", 2)
    return outside.scenario(
        name="control", control=True, namespace=namespace.name, targets={"web": {"service": "web"}}, steps=[SENT, GOOD]
    )


def server(cluster: Cluster) -> str:
    return cluster.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")


def identity(cluster: Cluster) -> str:
    return str(cluster.get("namespace", "kube-system")["metadata"]["uid"])


def test_a_drill_from_outside_goes_through_the_api_server(outside: Outside, control: str):
    done = outside.call("run", "--yes", "--context", outside.cluster.context, control)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 of 20 requests of calm (100.0 %) succeeded" in done.stdout
    where = f"cluster {outside.cluster.context} at {server(outside.cluster)}, identity {identity(outside.cluster)}"
    assert done.stdout.splitlines()[:2] == ["control", f"  {where}"]


def test_the_plan_says_which_way_requests_take_and_what_that_does(outside: Outside, control: str, namespace: Namespace):
    done = outside.call("plan", "--context", outside.cluster.context, control)
    assert done.returncode == 0, done.stderr
    assert f"  web  {namespace.name}/web:80 through the API server's proxy   {{service: web}}\n" in done.stdout
    assert "  web: latency includes the API server, which picks a ready pod for each request; " in done.stdout


def test_nothing_is_touched_where_nobody_can_be_asked(outside: Outside, control: str):
    done = outside.call("run", "--context", outside.cluster.context, control)
    assert done.returncode == 3
    assert "control: nobody can be asked on this terminal: add --yes if all of this is wanted\n" in done.stdout
    assert not list(outside.folder.glob("reports/*"))


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("yes\n", 0, "✓ passed"),
        ("y\n", 3, "control: not agreed to: nothing was touched"),
    ],
)
def test_a_person_at_a_terminal_is_asked(outside: Outside, control: str, answer: str, code: int, says: str):
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    done = subprocess.run(
        outside.words("run", "--context", outside.cluster.context, control), stdin=theirs, capture_output=True,
        text=True, cwd=outside.folder, env=outside.environment(), timeout=120, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert "Type yes to go on:\n" in done.stdout
    assert (done.returncode, says in done.stdout) == (code, True), done.stdout + done.stderr


def test_a_token_that_is_not_accepted_is_told(outside: Outside, control: str):
    file = outside.kubeconfig({"token": "made up"})
    done = outside.call("plan", "--context", outside.cluster.context, control, kubeconfig=file)
    user = outside.cluster.kubectl("config", "view", "--minify", "--output=jsonpath={.users[0].name}")
    assert (done.returncode, done.stderr) == (
        3,
        f"the API server at {server(outside.cluster)} does not accept the credentials of {user} in {file} (401)\n",
    )


def test_a_server_that_nobody_vouches_for_is_told(outside: Outside, control: str):
    file = outside.kubeconfig({"token": "x"}, **{"certificate-authority-data": None, "certificate-authority": None})
    done = outside.call("plan", "--context", outside.cluster.context, control, kubeconfig=file)
    assert done.returncode == 3
    assert done.stderr.startswith(
        f"the API server at {server(outside.cluster)} shows a certificate that {file} does not trust ("
    )


def test_every_permission_that_is_missing_is_named_with_what_grants_it(
    outside: Outside, control: str, namespace: Namespace
):
    name = namespace.name
    namespace.kubectl("create", "serviceaccount", "drills")
    role, binding = f"identity-{name}", f"identity-{name}"
    outside.cluster.kubectl(
        "create", "clusterrole", role, "--verb=get", "--resource=namespaces,services", "--resource-name=kube-system",
        "--resource-name=web",
    )  # fmt: skip
    outside.cluster.kubectl(
        "create", "clusterrolebinding", binding, f"--clusterrole={role}", f"--serviceaccount={name}:drills"
    )
    try:
        token = namespace.kubectl("create", "token", "drills").strip()
        file = outside.kubeconfig({"token": token})
        done = outside.call("plan", "--context", outside.cluster.context, control, kubeconfig=file)
    finally:
        outside.cluster.kubectl("delete", "clusterrolebinding", binding)
        outside.cluster.kubectl("delete", "clusterrole", role)
    assert done.returncode == 3
    said = done.stderr.splitlines()
    granted = "(Helm chart agent/deploy/runner) grants it"
    assert f"we may not watch nodes: the ClusterRole scenario-runner {granted}" in said
    assert f"we may not watch pods in namespace {name}: the Role scenario-runner of that namespace {granted}" in said
    assert (
        f"we may not get services/proxy web in namespace {name}: choose another way with --reach, or run inside the "
        "cluster" in said
    )


def test_a_drill_inside_a_pod_needs_no_context_and_reaches_services_in_each_way(
    outside: Outside, control: str, namespace: Namespace
):
    namespace.kubectl("patch", "service", "web", "--patch", '{"spec": {"type": "LoadBalancer"}}')
    balancer = {"status": {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}}  # kube-proxy takes it from here
    namespace.kubectl("patch", "service", "web", "--subresource=status", "--patch", json.dumps(balancer))
    namespace.kubectl("create", "configmap", "scenarios", f"--from-file={control}")
    namespace.kubectl("create", "serviceaccount", "drills")
    binding = f"drills-{namespace.name}"
    outside.cluster.kubectl(
        "create", "clusterrolebinding", binding, "--clusterrole=cluster-admin",
        f"--serviceaccount={namespace.name}:drills",
    )  # fmt: skip
    try:
        namespace.apply(_job(IN_EACH_WAY))
        namespace.kubectl("wait", "--for=condition=Complete", "job/drill", "--timeout=120s")
    finally:
        said = namespace.kubectl("logs", "job/drill")
        outside.cluster.kubectl("delete", "clusterrolebinding", binding)
    address = namespace.get("service", "kubernetes", "--namespace=default")["spec"]["clusterIP"]
    own = namespace.get("service", "web")["spec"]["clusterIP"]
    assert f"  the cluster of this pod at https://{address}:443, identity {identity(outside.cluster)}" in said
    web = f"  web  {namespace.name}/web:80"
    assert [line for line in said.splitlines() if line.startswith(web)] == [
        f"{web} at http://{own}:80   {{service: web}}",
        f"{web} through its port on a node   {{service: web}}",
        f"{web} through its load balancer   {{service: web}}",
    ]
    assert "20 of 20 requests of calm (100.0 %) succeeded" in said
    assert said.count("steps passed; a control without a fault") == 3


BALANCER = "192.0.2.7"  # an address for examples
IN_EACH_WAY = """
set -e
for way in auto node-port load-balancer; do
    scenario-runner plan --reach $way /scenarios/control.yaml
    scenario-runner run --yes --reach $way --report-dir /tmp/$way /scenarios/control.yaml
done
"""


def _job(script: str) -> dict[str, Any]:
    container = {
        "name": "drill",
        "image": RUNNER_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": "scenarios", "mountPath": "/scenarios"}],
    }
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": "drills",
        "containers": [container],
        "volumes": [{"name": "scenarios", "configMap": {"name": "scenarios"}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "drill"},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }
