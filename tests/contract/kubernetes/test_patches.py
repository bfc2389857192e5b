"""The three kinds of patch, and what none of them may do."""

from tests.contract.kubernetes.objects import config_map, deployment, pod
from tests.contract.kubernetes.server import APPLY, STRATEGIC, Json, Space


def template(**spec: object) -> Json:
    return {"spec": {"template": {"spec": spec}}}


def containers(answer_body: Json) -> dict[str, Json]:
    return {one["name"]: one for one in answer_body["spec"]["template"]["spec"]["containers"]}


def env(answer_body: Json, container: str = "main") -> list[Json]:
    return containers(answer_body)[container].get("env", [])


def test_a_merge_patch_deletes_with_null(space: Space) -> None:
    space.made(config_map("a", {"one": "1", "two": "2"}))
    assert space.merge("ConfigMap", "a", {"data": {"one": None, "three": "3"}}).body["data"] == {
        "two": "2",
        "three": "3",
    }
    assert "data" not in space.merge("ConfigMap", "a", {"data": None}).body


def test_a_merge_patch_replaces_lists(space: Space) -> None:
    space.made(deployment("d"))
    only = [{"name": "main", "image": "other"}]
    assert list(containers(space.merge("Deployment", "d", template(containers=only)).body)) == ["main"]


def test_a_patch_of_a_stale_version_is_a_conflict(space: Space) -> None:
    made = space.made(config_map("a"))
    space.merge("ConfigMap", "a", {"data": {"a": "2"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "3"}}
    assert space.merge("ConfigMap", "a", stale).said == (409, "Conflict")
    assert space.strategic("ConfigMap", "a", stale).said == (409, "Conflict")
    assert space.read("ConfigMap", "a").body["data"] == {"a": "2"}


def test_a_patch_can_not_change_the_uid(space: Space) -> None:
    space.made(config_map("a"))
    answer = space.merge("ConfigMap", "a", {"metadata": {"uid": "other"}, "data": {}})
    assert answer.said == (422, "Invalid")
    assert answer.body["message"] == (
        'ConfigMap "a" is invalid: metadata.uid: Invalid value: "other": field is immutable'
    )


def test_a_json_patch_is_done_step_by_step(space: Space) -> None:
    space.made(config_map("a", {"x": "1"}))
    answer = space.json_patch(
        "ConfigMap",
        "a",
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {"a/b": "c"}},
        {"op": "replace", "path": "/metadata/labels/a~1b", "value": "d"},
        {"op": "copy", "from": "/data/x", "path": "/data/y"},
        {"op": "move", "from": "/data/y", "path": "/data/z"},
    )
    assert (answer.said, answer.body["data"], answer.labels) == ((200, ""), {"x": "2", "z": "2"}, {"a/b": "d"})


def test_a_json_patch_whose_test_fails_changes_nothing(space: Space) -> None:
    made = space.made(config_map("a", {"x": "1"}))
    answer = space.json_patch(
        "ConfigMap",
        "a",
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "test", "path": "/data/x", "value": "1"},
    )
    assert answer.said == (422, "Invalid")
    assert space.read("ConfigMap", "a").body == made


def test_a_json_patch_of_a_place_that_is_not_there_is_invalid(space: Space) -> None:
    space.made(config_map("a"))
    assert space.json_patch("ConfigMap", "a", {"op": "remove", "path": "/data/nope"}).said == (422, "Invalid")
    assert space.json_patch("ConfigMap", "a", {"op": "replace", "path": "/nope/x", "value": 1}).said == (422, "Invalid")


def test_a_json_patch_that_is_none_is_a_bad_request(space: Space) -> None:
    space.made(config_map("a"))
    assert space.server.call(
        "PATCH", space.path("ConfigMap", "a"), {"op": "remove"}, "application/json-patch+json"
    ).said == (400, "BadRequest")


def test_a_json_patch_of_a_container_goes_by_its_place(space: Space) -> None:
    space.made(deployment("d"))
    operation = {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "C", "value": "3"}}
    assert [one["name"] for one in env(space.json_patch("Deployment", "d", operation).body)] == ["A", "B", "C"]


def test_a_strategic_patch_merges_containers_and_env_by_name(space: Space) -> None:
    before = space.made(deployment("d"))
    patch = template(containers=[{"name": "main", "env": [{"name": "B", "value": "9"}, {"name": "C", "value": "3"}]}])
    after = space.strategic("Deployment", "d", patch).body
    assert list(containers(after)) == ["main", "side"]
    assert {one["name"]: one["value"] for one in env(after)} == {"A": "1", "B": "9", "C": "3"}
    assert containers(after)["side"] == containers(before)["side"]
    assert containers(after)["main"]["image"] == containers(before)["main"]["image"]


def test_a_strategic_patch_takes_one_variable_away(space: Space) -> None:
    space.made(deployment("d"))
    gone = {"name": "A", "$patch": "delete"}
    after = space.strategic("Deployment", "d", template(containers=[{"name": "main", "env": [gone]}])).body
    assert env(after) == [{"name": "B", "value": "2"}]


def test_a_strategic_patch_adds_a_container_and_takes_it_away(space: Space) -> None:
    space.made(deployment("d"))
    after = space.strategic("Deployment", "d", template(containers=[{"name": "new", "image": "n"}])).body
    assert set(containers(after)) == {"main", "side", "new"}
    after = space.strategic("Deployment", "d", template(containers=[{"name": "new", "$patch": "delete"}])).body
    assert list(containers(after)) == ["main", "side"]


def test_a_strategic_patch_merges_volumes_by_name_and_mounts_by_path(space: Space) -> None:
    space.made(deployment("d"))
    volumes = [{"name": "one", "emptyDir": {}}, {"name": "two", "configMap": {"name": "c"}}]
    mounts = [{"name": "one", "mountPath": "/one"}, {"name": "two", "mountPath": "/two", "readOnly": True}]
    space.strategic("Deployment", "d", template(volumes=volumes, containers=[{"name": "main", "volumeMounts": mounts}]))
    away = template(
        volumes=[{"name": "one", "$patch": "delete"}],
        containers=[{"name": "main", "volumeMounts": [{"mountPath": "/one", "$patch": "delete"}]}],
    )
    after = space.strategic("Deployment", "d", away).body
    inner = after["spec"]["template"]["spec"]
    assert inner["volumes"] == [{"name": "two", "configMap": {"name": "c", "defaultMode": 420}}]
    assert containers(after)["main"]["volumeMounts"] == [mounts[1]]


def test_a_strategic_patch_can_replace_a_whole_list(space: Space) -> None:
    space.made(deployment("d"))
    whole = [{"$patch": "replace"}, {"name": "X", "value": "x"}]
    after = space.strategic("Deployment", "d", template(containers=[{"name": "main", "env": whole}])).body
    assert env(after) == [{"name": "X", "value": "x"}]


def test_a_strategic_patch_orders_a_list(space: Space) -> None:
    space.made(deployment("d"))
    patch = template(**{"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}]})
    assert list(containers(space.strategic("Deployment", "d", patch).body)) == ["side", "main"]


def test_a_strategic_patch_keeps_only_the_keys_that_it_names(space: Space) -> None:
    space.made(deployment("d"))
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert space.strategic("Deployment", "d", patch).body["spec"]["strategy"] == {"type": "Recreate"}


def test_a_strategic_patch_merges_conditions_by_type(space: Space) -> None:
    space.made(pod("p", node="nowhere"))
    for kind in ("Ready", "Odd"):
        space.strategic("Pod", "p", {"status": {"conditions": [{"type": kind, "status": "True"}]}}, "status")
    kinds = {one["type"] for one in space.read("Pod", "p").body["status"]["conditions"]}
    assert kinds >= {"Ready", "Odd"}


def test_a_strategic_patch_of_finalizers_and_owners_merges(space: Space) -> None:
    space.made(config_map("a", finalizers=["example.com/one"]))
    after = space.strategic("ConfigMap", "a", {"metadata": {"finalizers": ["example.com/two"]}}).body
    assert sorted(after["metadata"]["finalizers"]) == ["example.com/one", "example.com/two"]
    gone = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/one", "example.com/two"]}}
    assert "finalizers" not in space.strategic("ConfigMap", "a", gone).body["metadata"]


def test_a_strategic_patch_without_the_merge_key_is_refused(space: Space) -> None:
    space.made(deployment("d"))
    answer = space.strategic("Deployment", "d", template(containers=[{"image": "nameless"}]))
    assert answer.status in {400, 500}
    assert "does not contain declared merge key: name" in answer.body["message"]


def test_a_custom_resource_takes_no_strategic_patch(space: Space, widgets: str) -> None:
    path = f"/apis/{widgets}/v1/namespaces/{space.namespace}/widgets"
    made = {"apiVersion": f"{widgets}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    assert space.server.call("POST", path, made).status == 201
    assert space.server.call("PATCH", f"{path}/w", {"spec": {"size": 2}}, STRATEGIC).said == (
        415,
        "UnsupportedMediaType",
    )


def test_a_patch_of_an_unknown_kind_is_refused(space: Space) -> None:
    space.made(config_map("a"))
    answer = space.server.call("PATCH", space.path("ConfigMap", "a"), {"data": {}}, "application/json")
    assert answer.said == (415, "UnsupportedMediaType")


def test_a_patch_can_not_change_the_name(space: Space) -> None:
    space.made(config_map("a"))
    assert space.merge("ConfigMap", "a", {"metadata": {"name": "b"}}).said == (400, "BadRequest")


def test_server_side_apply_knows_who_owns_a_field(space: Space) -> None:
    path = space.path("ConfigMap", "a")
    body = config_map("a", {"k": "1"}) | {"apiVersion": "v1"}
    assert space.server.call("PATCH", path, body, APPLY, fieldManager="one").status == 201
    body["data"] = {"k": "2"}
    assert space.server.call("PATCH", path, body, APPLY, fieldManager="two").said == (409, "Conflict")
    assert space.server.call("PATCH", path, body, APPLY, fieldManager="two", force="true").status == 200
