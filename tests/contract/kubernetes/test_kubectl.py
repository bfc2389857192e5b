"""What an operator types during a drill, with the kubectl of the cluster's own version."""

import json

import pytest

from tests.contract.kubernetes.kubectl import Kubectl, kubectl_for
from tests.contract.kubernetes.objects import budget, config_map, deployment, pod
from tests.contract.kubernetes.puppet import Puppet
from tests.contract.kubernetes.server import Json, Space, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


@pytest.fixture
def kubectl(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(space, tmp_path_factory.mktemp("kubectl"))


def manifest(obj: Json) -> Json:
    return {"apiVersion": "apps/v1" if obj["kind"] == "Deployment" else "v1"} | obj


def test_get_prints_a_table_and_json(space: Space, kubectl: Kubectl) -> None:
    space.made(deployment("d"))
    lines = [line.split() for line in kubectl("get", "deployments").splitlines()]
    assert lines[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1][:4] == ["d", "0/0", "0", "0"]
    wide = kubectl("get", "deploy", "d", "-o", "wide").splitlines()[0].split()
    assert wide[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert json.loads(kubectl("get", "deploy/d", "-o", "json"))["metadata"]["name"] == "d"
    assert kubectl("get", "deploy", "-o", "name") == "deployment.apps/d\n"
    assert "not found" in kubectl("get", "deploy", "nope", code=1)


def test_get_watches(space: Space, kubectl: Kubectl) -> None:
    space.made(config_map("a"))
    assert "a " in kubectl("get", "configmap", "a", "--watch", "--request-timeout=2s")


def test_apply_creates_then_configures_then_leaves_alone(space: Space, kubectl: Kubectl) -> None:
    wanted = manifest(deployment("d"))
    assert kubectl("apply", "-f", "-", stdin=wanted) == "deployment.apps/d created\n"
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "9"}]
    assert kubectl("apply", "-f", "-", stdin=wanted) == "deployment.apps/d configured\n"
    assert kubectl("apply", "-f", "-", stdin=wanted) == "deployment.apps/d unchanged\n"
    spec = space.read("Deployment", "d").body["spec"]["template"]["spec"]
    assert spec["containers"][0]["env"] == [{"name": "A", "value": "9"}]


def test_apply_refuses_an_unknown_field(kubectl: Kubectl) -> None:
    wrong = manifest(config_map("a")) | {"dataa": {}}
    assert 'unknown field "dataa"' in kubectl("apply", "-f", "-", stdin=wrong, code=1)


def test_patch_label_annotate_and_set_env(space: Space, kubectl: Kubectl) -> None:
    space.made(deployment("d"))
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "new:2"}]}}}})
    assert kubectl("patch", "deploy", "d", "-p", patch) == "deployment.apps/d patched\n"
    kubectl("label", "deploy", "d", "x=y")
    kubectl("annotate", "deploy", "d", "a=b")
    kubectl("set", "env", "deploy/d", "-c", "main", "NEW=1")
    found = space.read("Deployment", "d").body
    main = found["spec"]["template"]["spec"]["containers"][0]
    assert (main["image"], main["env"][-1]) == ("new:2", {"name": "NEW", "value": "1"})
    assert (found["metadata"]["labels"], found["metadata"]["annotations"]["a"]) == ({"x": "y"}, "b")


def test_describe_tells_the_events(space: Space, puppet: Puppet, kubectl: Kubectl) -> None:
    space.made(deployment("d", 1, pods=puppet.pods))
    eventually(lambda: len(puppet.play()) == 1, "a pod runs")
    name = space.listed("Pod").names[0]
    assert "ScalingReplicaSet" in kubectl("describe", "deployment", "d")
    told = kubectl("describe", "pod", name)
    assert f"Successfully assigned {space.namespace}/{name} to {puppet.name}" in told
    assert "node.kubernetes.io/not-ready:NoExecute op=Exists for" in told
    assert "Unschedulable:      false" in kubectl("describe", "node", puppet.name)


def test_cordon_and_uncordon(puppet: Puppet, kubectl: Kubectl) -> None:
    assert kubectl("cordon", puppet.name) == f"node/{puppet.name} cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", "node", puppet.name)
    assert kubectl("uncordon", puppet.name) == f"node/{puppet.name} uncordoned\n"


def test_drain_is_refused_by_a_budget_and_goes_on_when_it_may(space: Space, puppet: Puppet, kubectl: Kubectl) -> None:
    space.made(pod("p", node=puppet.name, labels={"app": "web"}))
    puppet.run("p")
    space.made(budget("b", {"app": "web"}, minAvailable=1))
    eventually(lambda: "expectedPods" in space.read("PodDisruptionBudget", "b").body.get("status", {}), "counted")
    drain = ("drain", puppet.name, "--force", "--timeout=7s")
    assert _REFUSED in kubectl(*drain, code=1)
    space.delete("PodDisruptionBudget", "b")
    kubectl(*drain[:-1], "--disable-eviction=false", "--timeout=1s", code=1)  # nobody confirms the pod's end
    assert "deletionTimestamp" in space.read("Pod", "p").body["metadata"]
    puppet.bury("p")
    assert f"node/{puppet.name} drained" in kubectl(*drain)


def test_rollout_status_history_undo_and_restart(space: Space, puppet: Puppet, kubectl: Kubectl) -> None:
    space.made(deployment("d", 1, pods=puppet.pods))

    def is_done() -> bool:
        puppet.play()
        return "successfully rolled out" in kubectl("rollout", "status", "deploy/d", "--watch=false")

    eventually(is_done, "rolled out")
    assert kubectl("rollout", "restart", "deploy/d") == "deployment.apps/d restarted\n"
    eventually(is_done, "restarted")
    history = kubectl("rollout", "history", "deploy/d")
    assert [line.split()[0] for line in history.splitlines()[2:4]] == ["1", "2"]
    assert kubectl("rollout", "undo", "deploy/d") == "deployment.apps/d rolled back\n"
    eventually(is_done, "rolled back")
    assert [line.split()[0] for line in kubectl("rollout", "history", "deploy/d").splitlines()[2:4]] == ["2", "3"]


def test_wait_for_a_condition_and_for_the_end(space: Space, puppet: Puppet, kubectl: Kubectl) -> None:
    space.made(pod("p", node=puppet.name))
    puppet.run("p")
    assert kubectl("wait", "pod/p", "--for=condition=Ready", "--timeout=20s") == "pod/p condition met\n"
    assert "timed out waiting" in kubectl("wait", "pod/p", "--for=condition=Odd", "--timeout=1s", code=1)
    assert kubectl("delete", "pod", "p", "--grace-period=0", "--force").startswith('pod "p" force deleted')
    kubectl("wait", "pod/p", "--for=delete", "--timeout=20s")


def test_scale_and_delete(space: Space, kubectl: Kubectl) -> None:
    space.made(deployment("d"))
    assert kubectl("scale", "deploy", "d", "--replicas=0") == "deployment.apps/d scaled\n"
    assert kubectl("delete", "deploy", "d").startswith('deployment.apps "d" deleted')
    assert not space.exists("Deployment", "d")
    kubectl("delete", "deploy", "d", code=1)
    assert kubectl("delete", "deploy", "d", "--ignore-not-found") == ""


def test_create_sends_protobuf_where_it_is_taken(space: Space, kubectl: Kubectl) -> None:
    assert kubectl("create", "configmap", "a", "--from-literal=x=1") == "configmap/a created\n"
    assert space.read("ConfigMap", "a").body["data"] == {"x": "1"}


def test_explain_and_api_resources(kubectl: Kubectl) -> None:
    assert "replicas" in kubectl("explain", "deployment.spec")
    assert "deployments" in kubectl("api-resources", "--api-group=apps")
