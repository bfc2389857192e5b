"""Deployments: rolling update, surge, deadline, rollback, Recreate, scaling."""

import pytest

from scenario_runner.lab.apiserver.objects import Json, annotations_of, condition, is_ready, labels_of
from scenario_runner.lab.controllers.rollout import Limits, Sizes, next_new_size, next_old_sizes
from tests.lab.apiserver.world import World, deployment


def image_of(pod: Json) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def set_image(world: World, image: str) -> None:
    world.edit("deployments", "web", lambda d: d["spec"]["template"]["spec"]["containers"][0].update(image=image))


def progressing(world: World) -> tuple[str, str, str]:
    found = condition(world.get("deployments", "web"), "Progressing")
    return found["status"], found["reason"], found["message"].replace(newest(world), "RS")


def newest(world: World) -> str:
    sets = world.api.select("replicasets", "default")
    return str(
        max(sets, key=lambda one: int(annotations_of(one)["deployment.kubernetes.io/revision"]))["metadata"]["name"]
    )


def test_a_deployment_gets_its_pods_and_says_so(world: World) -> None:
    world.create("deployments", deployment(3))
    world.run_kubelets()
    found = world.get("deployments", "web")
    status = {name: value for name, value in found["status"].items() if name != "conditions"}
    assert status == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "unavailableReplicas": 0,
    }
    assert condition(found, "Available")["reason"] == "MinimumReplicasAvailable"
    assert progressing(world) == ("True", "NewReplicaSetAvailable", 'ReplicaSet "RS" has successfully progressed.')
    assert annotations_of(found)["deployment.kubernetes.io/revision"] == "1"


def test_the_pods_carry_the_hash_of_their_template(world: World) -> None:
    world.create("deployments", deployment(1))
    [replica_set] = world.api.select("replicasets", "default")
    digest = labels_of(replica_set)["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{digest}"
    assert [labels_of(pod) for pod in world.pods()] == [{"app": "web", "pod-template-hash": digest}]


def test_a_rolling_update_stays_within_surge_and_unavailable(world: World) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    world.create("deployments", deployment(4, strategy=strategy))
    world.run_kubelets()
    counts: list[tuple[int, int]] = []
    world.api.store.follow("", "pods", lambda _change: counts.append(_count(world)))
    set_image(world, "server:2")
    world.run_kubelets()
    assert {image_of(pod) for pod in world.pods()} == {"server:2"}
    assert len(world.pods()) == 4
    assert max(wanted for wanted, _ in counts) == 5
    assert min(ready for _, ready in counts) == 3


def _count(world: World) -> tuple[int, int]:
    """Pods that are wanted, and pods that serve."""
    wanted = sum(one["spec"]["replicas"] for one in world.api.select("replicasets", "default"))
    return wanted, sum(is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in world.pods())


def test_an_update_that_never_gets_ready_keeps_the_old_pods_and_misses_its_deadline(world: World) -> None:
    world.create("deployments", deployment(4, progressDeadlineSeconds=10))
    world.run_kubelets()
    world.unready.add("server:broken")
    set_image(world, "server:broken")
    world.live(3)
    assert sum(image_of(pod) == "server:1" and is_ready(pod) for pod in world.pods()) == 3
    assert progressing(world) == ("True", "ReplicaSetUpdated", 'ReplicaSet "RS" is progressing.')
    world.live(10)
    assert progressing(world) == ("False", "ProgressDeadlineExceeded", 'ReplicaSet "RS" has timed out progressing.')


def test_a_rollback_reuses_the_old_replica_set_under_a_new_revision(world: World) -> None:
    world.create("deployments", deployment(2))
    first = newest(world)
    world.run_kubelets()
    set_image(world, "server:2")
    world.run_kubelets()
    set_image(world, "server:1")
    world.run_kubelets()
    assert newest(world) == first
    assert annotations_of(world.get("deployments", "web"))["deployment.kubernetes.io/revision"] == "3"
    assert {image_of(pod) for pod in world.pods()} == {"server:1"}


def test_an_annotation_of_the_template_restarts_the_workload(world: World) -> None:
    world.create("deployments", deployment(2))
    world.run_kubelets()
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.edit(
        "deployments", "web", lambda d: d["spec"]["template"]["metadata"].update(annotations={"restartedAt": "now"})
    )
    world.run_kubelets()
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in world.pods())
    assert len(world.pods()) == 2


def test_recreate_waits_until_the_last_old_pod_is_gone(world: World) -> None:
    world.create("deployments", deployment(2, strategy={"type": "Recreate"}))
    world.run_kubelets()
    set_image(world, "server:2")
    assert [image_of(pod) for pod in world.pods()] == ["server:1", "server:1"]
    world.run_kubelets()
    assert [image_of(pod) for pod in world.pods()] == ["server:2", "server:2"]


def test_min_ready_seconds_delay_availability(world: World) -> None:
    world.create("deployments", deployment(2, minReadySeconds=5))
    world.run_kubelets()
    assert world.get("deployments", "web")["status"]["availableReplicas"] == 0
    world.live(6)
    assert world.get("deployments", "web")["status"]["availableReplicas"] == 2


def test_a_paused_deployment_scales_but_does_not_roll_out(world: World) -> None:
    world.create("deployments", deployment(1))
    world.edit("deployments", "web", lambda d: d["spec"].update(paused=True))
    set_image(world, "server:2")
    world.edit("deployments", "web", lambda d: d["spec"].update(replicas=3))
    world.run_kubelets()
    assert [image_of(pod) for pod in world.pods()] == ["server:1"] * 3
    assert condition(world.get("deployments", "web"), "Progressing")["reason"] == "DeploymentPaused"


@pytest.mark.parametrize("replicas", [0, 1, 5])
def test_scaling_reaches_the_wanted_number(world: World, replicas: int) -> None:
    world.create("deployments", deployment(3))
    world.run_kubelets()
    world.edit("deployments", "web", lambda d: d["spec"].update(replicas=replicas))
    world.run_kubelets()
    assert len(world.pods()) == replicas
    assert world.get("deployments", "web")["status"]["replicas"] == replicas


def test_scaling_down_takes_the_pods_that_are_not_ready_first(world: World) -> None:
    world.create("deployments", deployment(3))
    world.run_kubelets()
    victim = world.pods()[1]["metadata"]["name"]
    at = world.api.at("pods", "default", victim, "status")

    def unready(pod: Json) -> Json:
        next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")["status"] = "False"
        return pod

    world.api.change(at, unready)
    world.edit("deployments", "web", lambda d: d["spec"].update(replicas=2))
    going = [pod["metadata"]["name"] for pod in world.pods() if "deletionTimestamp" in pod["metadata"]]
    assert going == [victim]


def test_a_deleted_pod_is_replaced_at_once(world: World) -> None:
    world.create("deployments", deployment(1))
    world.run_kubelets()
    [old] = world.pods()
    world.delete("pods", old["metadata"]["name"])
    assert len(world.pods()) == 2
    world.run_kubelets()
    [new] = world.pods()
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


def test_old_replica_sets_are_kept_up_to_the_history_limit(world: World) -> None:
    world.create("deployments", deployment(1, revisionHistoryLimit=1))
    for number in range(2, 6):
        set_image(world, f"server:{number}")
        world.run_kubelets()
    assert len(world.api.select("replicasets", "default")) == 2


def test_events_tell_the_steps_of_a_rollout(world: World) -> None:
    world.create("deployments", deployment(1))
    world.run_kubelets()
    first = newest(world)
    set_image(world, "server:2")
    world.run_kubelets()
    assert sorted(world.events("ScalingReplicaSet")) == sorted(
        [
            f"Scaled up replica set {first} from 0 to 1",
            f"Scaled up replica set {newest(world)} from 0 to 1",
            f"Scaled down replica set {first} from 1 to 0",
        ]
    )


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Sizes("new", 0, 0), [Sizes("old", 4, 4)], 1),
        (Sizes("new", 1, 0), [Sizes("old", 4, 4)], 1),
        (Sizes("new", 2, 1), [Sizes("old", 2, 2)], 3),
        (Sizes("new", 6, 1), [], 4),
    ],
)
def test_the_new_replica_set_grows_into_the_room_that_is_left(new: Sizes, old: list[Sizes], expected: int) -> None:
    assert next_new_size(new, old, Limits(4, 1, 1)) == expected


def test_old_pods_that_do_not_serve_go_first() -> None:
    sizes = next_old_sizes(Sizes("new", 1, 0), [Sizes("ill", 2, 0), Sizes("well", 2, 2)], Limits(4, 1, 2))
    assert sizes == {"ill": 0, "well": 2}


def test_among_equals_pods_on_a_crowded_node_go_before_the_youngest(world: World) -> None:
    crowd(world)
    world.edit("deployments", "web", lambda d: d["spec"].update(replicas=2))
    world.run_kubelets()
    assert nodes_of(world) == ["gpu-1", "gpu-2"]


def test_a_rollout_spreads_pods_that_were_crowded(world: World) -> None:
    world.add_node("gpu-3")
    crowd(world)
    set_image(world, "server:2")
    world.run_kubelets()
    assert nodes_of(world) == ["gpu-1", "gpu-2", "gpu-3"]


def crowd(world: World) -> None:
    """Two pods on gpu-1 and a younger one on gpu-2."""
    others = [node["metadata"]["name"] for node in world.api.select("nodes") if node["metadata"]["name"] != "gpu-1"]
    for name in others:
        world.edit("nodes", name, lambda node: node["spec"].update(unschedulable=True))
    world.create("deployments", deployment(2))
    world.run_kubelets()
    world.advance(5)
    world.edit("nodes", "gpu-2", lambda node: node["spec"].pop("unschedulable"))
    world.edit("deployments", "web", lambda d: d["spec"].update(replicas=3))
    world.run_kubelets()
    assert nodes_of(world) == ["gpu-1", "gpu-1", "gpu-2"]
    for name in others:
        world.edit("nodes", name, lambda node: node["spec"].pop("unschedulable", None))


def nodes_of(world: World) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in world.pods())
