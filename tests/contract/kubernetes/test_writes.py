"""Creating, replacing and deleting: what is filled in, what is refused, and the words of the refusal."""

import pytest

from tests.contract.kubernetes.objects import config_map, deployment, pod
from tests.contract.kubernetes.server import Space

STALE = "the object has been modified; please apply your changes to the latest version and try again"


def test_a_new_object_gets_uid_version_and_time(space: Space) -> None:
    meta = space.made(config_map("a"))["metadata"]
    assert meta["namespace"] == space.namespace
    assert len(meta["uid"]) == 36
    assert int(meta["resourceVersion"]) > 0
    assert meta["creationTimestamp"].endswith("Z")


def test_a_second_object_of_a_name_already_exists(space: Space) -> None:
    space.made(config_map("a"))
    answer = space.create(config_map("a"))
    assert answer.said == (409, "AlreadyExists")
    assert answer.body["message"] == 'configmaps "a" already exists'
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}
    assert answer.body["status"] == "Failure"
    assert answer.body["code"] == 409


def test_what_is_not_there_is_not_found(space: Space) -> None:
    answer = space.read("Deployment", "nope")
    assert answer.said == (404, "NotFound")
    assert answer.body["message"] == 'deployments.apps "nope" not found'
    assert answer.body["details"] == {"name": "nope", "group": "apps", "kind": "deployments"}
    assert space.delete("ConfigMap", "nope").said == (404, "NotFound")
    assert space.merge("ConfigMap", "nope", {"data": {}}).said == (404, "NotFound")


def test_a_path_that_nobody_serves_is_not_found(space: Space) -> None:
    answer = space.server.call("GET", "/apis/nothing.example.com/v1/things")
    assert answer.status == 404


def test_a_namespace_that_is_not_there_takes_nothing(space: Space) -> None:
    answer = Space(space.server, "no-such-namespace").create(config_map("a"))
    assert answer.said == (404, "NotFound")
    assert answer.body["message"] == 'namespaces "no-such-namespace" not found'


def test_a_generated_name_has_five_more_letters(space: Space) -> None:
    first, second = (space.made({"kind": "ConfigMap", "metadata": {"generateName": "g-"}}) for _ in range(2))
    names = {first["metadata"]["name"], second["metadata"]["name"]}
    assert len(names) == 2
    assert all(name.startswith("g-") and len(name) == 7 for name in names)
    assert first["metadata"]["generateName"] == "g-"


def test_a_stale_replacement_is_a_conflict(space: Space) -> None:
    old = space.made(config_map("a"))
    assert space.replace(old | {"data": {"a": "2"}}).said == (200, "")
    answer = space.replace(old | {"data": {"a": "3"}})
    assert answer.said == (409, "Conflict")
    assert answer.body["message"] == f'Operation cannot be fulfilled on configmaps "a": {STALE}'
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}
    assert space.read("ConfigMap", "a").body["data"] == {"a": "2"}


def test_a_replacement_without_a_version_is_taken(space: Space) -> None:
    space.made(config_map("a"))
    assert space.replace(config_map("a", {"b": "1"}) | {"apiVersion": "v1"}).said == (200, "")
    assert space.read("ConfigMap", "a").body["data"] == {"b": "1"}


def test_a_write_that_changes_nothing_keeps_the_version(space: Space) -> None:
    made = space.made(config_map("a"))
    assert space.replace(made).version == made["metadata"]["resourceVersion"]
    assert space.merge("ConfigMap", "a", {"data": {"a": "1"}}).version == made["metadata"]["resourceVersion"]


def test_a_replacement_of_another_uid_is_a_conflict(space: Space) -> None:
    made = space.made(config_map("a"))
    made["metadata"]["uid"] = "0-0-0"
    assert space.replace(made).said == (409, "Conflict")


def test_a_deletion_of_another_uid_is_a_conflict(space: Space) -> None:
    made = space.made(config_map("a"))
    answer = space.delete("ConfigMap", "a", {"preconditions": {"uid": "other"}})
    assert answer.said == (409, "Conflict")
    assert answer.body["details"] == {"name": "a", "kind": "ConfigMap"}
    assert answer.body["message"] == (
        'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) does not match the UID in '
        f"record ({made['metadata']['uid']}). The object might have been deleted and then recreated"
    )
    assert space.delete("ConfigMap", "a", {"preconditions": {"uid": made["metadata"]["uid"]}}).said == (200, "")


def test_a_deletion_of_a_stale_version_is_a_conflict(space: Space) -> None:
    made = space.made(config_map("a"))
    space.merge("ConfigMap", "a", {"data": {"a": "2"}})
    options = {"preconditions": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert space.delete("ConfigMap", "a", options).said == (409, "Conflict")


def test_a_deletion_answers_with_success_and_what_is_gone(space: Space) -> None:
    made = space.made(config_map("a"))
    answer = space.delete("ConfigMap", "a")
    assert answer.body["status"] == "Success"
    assert answer.body["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}


def test_a_dry_run_of_a_pod_is_answered_as_its_creation_would_be(space: Space) -> None:
    assert space.create(pod("tried"), dryRun="All").said == (201, "")
    assert space.create(pod("tried", containers=[]), dryRun="All").said == (422, "Invalid")
    assert not space.exists("Pod", "tried")


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pods_that_pod_security_forbids_are_refused_also_in_a_dry_run(space: Space, level: str) -> None:
    labels = {"labels": {"pod-security.kubernetes.io/enforce": level}}
    assert space.merge("Namespace", space.namespace, {"metadata": labels}).said == (200, "")
    volumes = [{"name": "cuda", "hostPath": {"path": "/run/scenario-runner/cuda", "type": "DirectoryOrCreate"}}]
    answer = space.create(pod("tried", volumes=volumes), dryRun="All")
    assert answer.said == (403, "Forbidden")
    assert f'pods "tried" is forbidden: violates PodSecurity "{level}:latest"' in answer.body["message"]
    assert space.create(deployment("tried", pods={"volumes": volumes}), dryRun="All").said == (201, "")


def test_a_dry_run_stores_nothing(space: Space) -> None:
    assert space.create(config_map("a"), dryRun="All").said == (201, "")
    assert not space.exists("ConfigMap", "a")
    made = space.made(config_map("b"))
    assert space.merge("ConfigMap", "b", {"data": {"a": "2"}}, dryRun="All").body["data"] == {"a": "2"}
    assert space.delete("ConfigMap", "b", dryRun="All").said == (200, "")
    assert space.read("ConfigMap", "b").body == made


def test_a_dry_run_is_refused_like_the_real_thing(space: Space) -> None:
    space.made(config_map("a"))
    assert space.create(config_map("a"), dryRun="All").said == (409, "AlreadyExists")
    assert space.create(pod("p", containers=[]), dryRun="All").said == (422, "Invalid")


def test_all_problems_of_an_object_are_causes(space: Space) -> None:
    wrong = pod("p", containers=[{"name": "main", "image": "a"}, {"name": "main"}])
    answer = space.create(wrong)
    assert answer.said == (422, "Invalid")
    assert answer.body["details"]["kind"] == "Pod"
    assert [(cause["field"], cause["reason"]) for cause in answer.body["details"]["causes"]] == [
        ("spec.containers[1].image", "FieldValueRequired"),
        ("spec.containers[1].name", "FieldValueDuplicate"),
    ]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254])
def test_a_name_that_is_no_name_is_invalid(space: Space, name: str) -> None:
    answer = space.create(config_map(name))
    assert answer.said == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.name"


def test_an_object_without_a_name_is_invalid(space: Space) -> None:
    answer = space.create({"kind": "ConfigMap", "metadata": {}})
    assert answer.said == (422, "Invalid")
    assert answer.body["message"] == (
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
    )


def test_an_unknown_field_is_dropped_or_refused_as_the_client_wishes(space: Space) -> None:
    odd = config_map("a") | {"dataa": {"b": "1"}}
    assert "dataa" not in space.create(odd).body
    answer = space.create(odd | {"metadata": {"name": "b"}}, fieldValidation="Strict")
    assert answer.said == (400, "BadRequest")
    assert 'unknown field "dataa"' in answer.body["message"]


def test_a_field_of_another_type_is_a_bad_request(space: Space) -> None:
    assert space.create(config_map("a") | {"data": "text"}).said == (400, "BadRequest")


def test_an_object_of_another_namespace_is_a_bad_request(space: Space) -> None:
    answer = space.create(config_map("a", namespace="default"))
    assert answer.said == (400, "BadRequest")


def test_a_new_deployment_has_its_defaults(space: Space) -> None:
    spec = space.made(deployment("d"))["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    inner = spec["template"]["spec"]
    assert (inner["restartPolicy"], inner["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert inner["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_the_generation_grows_with_the_wishes_only(space: Space) -> None:
    space.made(deployment("d"))

    def generation(patch: dict[str, object], sub: str = "") -> int:
        return space.merge("Deployment", "d", patch, sub).body["metadata"]["generation"]

    first = generation({"metadata": {"labels": {"x": "y"}}})
    assert generation({"spec": {"paused": True}}) == first + 1
    assert generation({"status": {"replicas": 0}}, "status") == first + 1
    assert generation({"metadata": {"annotations": {"x": "y"}}}) == first + 2


def test_the_selector_of_a_deployment_is_immutable(space: Space) -> None:
    space.made(deployment("d"))
    other = {"matchLabels": {"app": "other"}}
    patch = {"spec": {"selector": other, "template": {"metadata": {"labels": {"app": "other"}}}}}
    answer = space.merge("Deployment", "d", patch)
    assert answer.said == (422, "Invalid")
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == ["spec.selector"]


def test_a_selector_that_misses_its_own_pods_is_invalid(space: Space) -> None:
    answer = space.create(deployment("d", selector={"matchLabels": {"app": "other"}}))
    assert answer.said == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "spec.template.metadata.labels"


def test_a_pod_can_not_be_moved_or_changed_but_for_its_images(space: Space) -> None:
    space.made(pod("p", node="nowhere"))
    assert space.merge("Pod", "p", {"spec": {"nodeName": "elsewhere"}}).said == (422, "Invalid")
    env = {"spec": {"containers": [{"name": "main", "env": [{"name": "C", "value": "3"}]}]}}
    answer = space.strategic("Pod", "p", env)
    assert answer.said == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["reason"] == "FieldValueForbidden"
    image = {"spec": {"containers": [{"name": "main", "image": "other:2"}]}}
    assert space.strategic("Pod", "p", image).said == (200, "")


def test_an_immutable_config_map_stays_as_it_is(space: Space) -> None:
    space.made(config_map("a") | {"immutable": True})
    assert space.merge("ConfigMap", "a", {"data": {"a": "2"}}).said == (422, "Invalid")
    assert space.merge("ConfigMap", "a", {"metadata": {"labels": {"x": "y"}}}).said == (200, "")


def test_status_and_wishes_do_not_touch_each_other(space: Space) -> None:
    space.made(pod("p", node="nowhere"))
    space.merge("Pod", "p", {"status": {"phase": "Running"}})
    assert space.read("Pod", "p").body["status"]["phase"] == "Pending"
    space.merge("Pod", "p", {"status": {"phase": "Running"}, "spec": {"priority": 7}}, "status")
    found = space.read("Pod", "p").body
    assert (found["status"]["phase"], found["spec"]["priority"]) == ("Running", 0)


def test_the_scale_of_a_deployment_is_its_replicas(space: Space) -> None:
    space.made(deployment("d"))
    answer = space.read("Deployment", "d", "scale")
    assert (answer.body["kind"], answer.body["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert answer.body["status"]["selector"] == "app=d"
    before = space.read("Deployment", "d").body["metadata"]["generation"]
    assert space.merge("Deployment", "d", {"spec": {"replicas": 0}}, "scale").said == (200, "")
    assert space.read("Deployment", "d").body["metadata"]["generation"] == before


def test_a_custom_resource_follows_its_schema(space: Space, widgets: str) -> None:
    path = f"/apis/{widgets}/v1/namespaces/{space.namespace}/widgets"
    widget = {"apiVersion": f"{widgets}/v1", "kind": "Widget", "metadata": {"name": "w"}}
    refused = space.server.call("POST", path, widget | {"spec": {"size": 0}})
    assert refused.said == (422, "Invalid")
    assert refused.body["details"]["causes"][0]["field"] == "spec.size"
    made = space.server.call("POST", path, widget | {"spec": {"size": 2, "odd": 1}, "status": {"gone": "yes"}})
    assert made.said == (201, "")
    assert made.body["spec"] == {"size": 2}
    assert "status" not in made.body
    told = space.server.call("PATCH", f"{path}/w/status", {"status": {"state": "ok"}}, "application/merge-patch+json")
    assert told.body["status"] == {"state": "ok"}
    assert told.body["metadata"]["generation"] == 1
