"""Rollouts of a Deployment: sizes on the way, conditions, revisions, services in front of it."""

import pytest

from tests.contract.kubernetes.objects import deployment
from tests.contract.kubernetes.puppet import Puppet
from tests.contract.kubernetes.server import Json, Space, eventually

REVISION = "deployment.kubernetes.io/revision"
SICK = "registry.invalid/sick:1"


@pytest.fixture
def rolled(space: Space, puppet: Puppet) -> Space:
    """A deployment `d` of three pods that is rolled out; one more pod is allowed on the way, none less."""
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    space.made(deployment("d", 3, pods=puppet.pods, strategy=strategy, progressDeadlineSeconds=3))
    finish(space, puppet)
    return space


def finish(space: Space, puppet: Puppet, name: str = "d") -> None:
    def is_done() -> bool:
        puppet.play()
        found = space.read("Deployment", name).body
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = {status.get(one, 0) for one in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
        return status.get("observedGeneration") == found["metadata"]["generation"] and counts == {wanted}

    eventually(is_done, f"{name} is rolled out")


def conditions(space: Space, name: str = "d") -> dict[str, tuple[str, str]]:
    found = space.read("Deployment", name).body["status"].get("conditions", [])
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def replica_sets(space: Space) -> list[Json]:
    return sorted(
        space.listed("ReplicaSet").body["items"], key=lambda one: int(one["metadata"]["annotations"][REVISION])
    )


def with_image(image: str) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}


def test_a_new_deployment_is_not_available_until_its_pods_are_ready(space: Space, puppet: Puppet) -> None:
    space.made(deployment("d", 2, pods=puppet.pods))
    eventually(lambda: len(conditions(space)) == 2, "two conditions")
    assert conditions(space)["Available"] == ("False", "MinimumReplicasUnavailable")
    eventually(lambda: conditions(space)["Progressing"] == ("True", "ReplicaSetUpdated"), "it progresses")
    finish(space, puppet)
    eventually(
        lambda: (
            conditions(space)
            == {"Available": ("True", "MinimumReplicasAvailable"), "Progressing": ("True", "NewReplicaSetAvailable")}
        ),
        "it is available",
    )


def test_the_pods_of_a_deployment_carry_the_hash_of_their_template(rolled: Space) -> None:
    [only] = replica_sets(rolled)
    digest = only["metadata"]["labels"]["pod-template-hash"]
    assert only["metadata"]["name"] == f"d-{digest}"
    assert only["spec"]["selector"]["matchLabels"] == {"app": "d", "pod-template-hash": digest}
    assert only["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
    for pod in rolled.listed("Pod").body["items"]:
        assert pod["metadata"]["labels"] == {"app": "d", "pod-template-hash": digest}
        assert pod["metadata"]["generateName"] == f"d-{digest}-"
        [owner] = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("ReplicaSet", only["metadata"]["name"], True)


def test_a_rollout_keeps_to_its_bounds(rolled: Space, puppet: Puppet) -> None:
    since = rolled.listed("ReplicaSet").version
    rolled.strategic("Deployment", "d", with_image("registry.invalid/new:2"))
    finish(rolled, puppet)
    old, new = replica_sets(rolled)
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, 3)
    assert [one["metadata"]["annotations"][REVISION] for one in (old, new)] == ["1", "2"]
    assert rolled.read("Deployment", "d").body["metadata"]["annotations"][REVISION] == "2"
    sizes = {old["metadata"]["name"]: 3}
    for _, obj in rolled.watched("ReplicaSet", since, 999, timeoutSeconds=1):
        sizes[obj["metadata"]["name"]] = obj["spec"]["replicas"]
        assert 3 <= sum(sizes.values()) <= 4, sizes


def test_a_rollout_that_gets_nowhere_misses_its_deadline(rolled: Space, puppet: Puppet) -> None:
    puppet.sick.add(SICK)
    rolled.strategic("Deployment", "d", with_image(SICK))
    late = ("False", "ProgressDeadlineExceeded")
    eventually(lambda: bool(puppet.play()) and conditions(rolled)["Progressing"] == late, "it is late")
    status = rolled.read("Deployment", "d").body["status"]
    assert (status["replicas"], status["updatedReplicas"], status["readyReplicas"]) == (4, 1, 3)
    assert status["unavailableReplicas"] == 1
    assert conditions(rolled)["Available"] == ("True", "MinimumReplicasAvailable")


def test_a_rollback_uses_the_old_replica_set_again(rolled: Space, puppet: Puppet) -> None:
    before = rolled.read("Deployment", "d").body["spec"]["template"]
    rolled.strategic("Deployment", "d", with_image("registry.invalid/new:2"))
    finish(rolled, puppet)
    rolled.json_patch("Deployment", "d", {"op": "replace", "path": "/spec/template", "value": before})
    finish(rolled, puppet)
    new, old = replica_sets(rolled)
    assert (old["spec"]["replicas"], old["metadata"]["annotations"][REVISION]) == (3, "3")
    assert (new["spec"]["replicas"], new["metadata"]["annotations"][REVISION]) == (0, "2")
    assert old["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


def test_a_paused_deployment_rolls_nothing_out(rolled: Space, puppet: Puppet) -> None:
    rolled.merge("Deployment", "d", {"spec": {"paused": True}})
    generation = rolled.strategic("Deployment", "d", with_image("registry.invalid/new:2")).body["metadata"][
        "generation"
    ]
    eventually(
        lambda: rolled.read("Deployment", "d").body["status"]["observedGeneration"] == generation, "it is observed"
    )
    assert conditions(rolled)["Progressing"] == ("Unknown", "DeploymentPaused")
    assert len(replica_sets(rolled)) == 1
    rolled.merge("Deployment", "d", {"spec": {"paused": None}})
    finish(rolled, puppet)
    assert len(replica_sets(rolled)) == 2


def test_a_deployment_that_recreates_is_empty_in_between(space: Space, puppet: Puppet) -> None:
    space.made(deployment("d", 2, pods=puppet.pods, strategy={"type": "Recreate"}))
    finish(space, puppet)
    space.strategic("Deployment", "d", with_image("registry.invalid/new:2"))

    def are_going() -> bool:
        found = space.listed("Pod").body["items"]
        return len(found) == 2 and all("deletionTimestamp" in one["metadata"] for one in found)

    eventually(are_going, "both old pods are going, and no new one is there")
    finish(space, puppet)
    assert len(space.listed("Pod").names) == 2


def test_a_smaller_deployment_gives_up_the_pods_that_are_not_ready(rolled: Space, puppet: Puppet) -> None:
    ill = rolled.listed("Pod").names[1]
    puppet.run(ill, ready=False)
    eventually(lambda: rolled.read("Deployment", "d").body["status"]["readyReplicas"] == 2, "one is not ready")
    rolled.merge("Deployment", "d", {"spec": {"replicas": 2}}, "scale")
    eventually(lambda: len(puppet.play()) == 2, "two are left")
    assert ill not in rolled.listed("Pod").names


def test_a_pod_that_is_deleted_is_replaced(rolled: Space, puppet: Puppet) -> None:
    gone = rolled.listed("Pod").names[0]
    rolled.delete("Pod", gone)
    finish(rolled, puppet)
    names = rolled.listed("Pod").names
    assert len(names) == 3
    assert gone not in names
    assert conditions(rolled)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_a_pod_that_must_be_ready_for_a_while_is_not_available_before(space: Space, puppet: Puppet) -> None:
    space.made(deployment("d", 1, pods=puppet.pods, minReadySeconds=2))

    def is_ready() -> bool:
        puppet.play()
        return bool(space.read("Deployment", "d").body["status"].get("readyReplicas") == 1)

    eventually(is_ready, "the pod is ready")
    assert space.read("Deployment", "d").body["status"].get("availableReplicas", 0) == 0
    finish(space, puppet)


def test_scaling_and_creating_are_told_in_events(rolled: Space) -> None:
    def messages(kind: str, reason: str) -> list[str]:
        wanted = f"involvedObject.kind={kind},reason={reason}"
        return sorted(one["message"] for one in rolled.listed("Event", fieldSelector=wanted).body["items"])

    [only] = replica_sets(rolled)
    name = only["metadata"]["name"]
    assert messages("Deployment", "ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 3"]
    created = eventually(
        lambda: len(found := messages("ReplicaSet", "SuccessfulCreate")) == 3 and found, "three pods were created"
    )
    assert created == [f"Created pod: {pod}" for pod in sorted(rolled.listed("Pod").names)]


def test_an_event_is_the_same_in_both_groups(rolled: Space) -> None:
    old = rolled.listed("Event", fieldSelector="reason=ScalingReplicaSet").body["items"][0]
    path = f"/apis/events.k8s.io/v1/namespaces/{rolled.namespace}/events/{old['metadata']['name']}"
    new = rolled.server.call("GET", path).body
    assert (new["note"], new["regarding"]["kind"], new["type"]) == (old["message"], "Deployment", "Normal")
    assert new["metadata"]["uid"] == old["metadata"]["uid"]


def test_a_service_knows_the_pods_behind_it(rolled: Space, puppet: Puppet) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    rolled.made({"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"app": "d"}, "ports": ports}})

    def endpoints() -> list[Json]:
        found = rolled.listed("EndpointSlice", labelSelector="kubernetes.io/service-name=s").body["items"]
        return [endpoint for one in found for endpoint in one.get("endpoints") or []]

    eventually(lambda: [one["conditions"]["ready"] for one in endpoints()] == [True] * 3, "three are ready")
    ill = rolled.listed("Pod").names[0]
    puppet.run(ill, ready=False)
    eventually(lambda: sorted(one["conditions"]["ready"] for one in endpoints()) == [False, True, True], "one is not")
    [told] = [one for one in endpoints() if not one["conditions"]["ready"]]
    assert (told["targetRef"]["name"], told["nodeName"]) == (ill, puppet.name)
    assert told["conditions"] == {"ready": False, "serving": False, "terminating": False}
    [slice_] = rolled.listed("EndpointSlice", labelSelector="kubernetes.io/service-name=s").body["items"]
    assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
