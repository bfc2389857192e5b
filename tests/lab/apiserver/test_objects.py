"""The contract of every object: create, read, replace, patch, delete, list, select."""

from urllib.parse import quote

import pytest

from tests.lab.apiserver.calls import JSON_PATCH, MERGE, STRATEGIC, Calls, Json, config, deployment, pod


def names(calls: Calls, path: str) -> list[str]:
    """But for what every namespace has."""
    found = [one["metadata"]["name"] for one in calls.json(path)["items"]]
    return [name for name in found if name != "kube-root-ca.crt"]


def test_create_sets_uid_version_and_time(calls: Calls) -> None:
    response = calls.post(f"{calls.core}/configmaps", config("c1"))
    meta = response.json()["metadata"]
    assert response.status_code == 201
    assert sorted(meta) == ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"]
    assert (meta["name"], meta["namespace"]) == ("c1", calls.namespace)


def test_a_name_is_taken_once(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    response = calls.post(f"{calls.core}/configmaps", config("c1"))
    assert response.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "c1" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "c1", "kind": "configmaps"},
        "code": 409,
    }


def test_a_pod_without_containers_is_invalid(calls: Calls) -> None:
    response = calls.post(f"{calls.core}/pods", {"metadata": {"name": "bad"}, "spec": {"containers": []}})
    assert response.status_code == 422
    assert response.json()["message"] == 'Pod "bad" is invalid: spec.containers: Required value'
    assert response.json()["details"]["causes"] == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"}
    ]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a..b", "x" * 254])
def test_a_name_must_be_a_dns_name(calls: Calls, name: str) -> None:
    response = calls.post(f"{calls.core}/configmaps", config(name))
    assert (response.status_code, response.json()["reason"]) == (422, "Invalid")


def test_generate_name_draws_five_letters(calls: Calls) -> None:
    response = calls.post(f"{calls.core}/configmaps", {"metadata": {"generateName": "g-"}})
    name = response.json()["metadata"]["name"]
    assert name.startswith("g-")
    assert len(name) == 7


def test_what_is_not_there_is_named(calls: Calls) -> None:
    response = calls.get(f"{calls.apps}/deployments/nope")
    assert response.status_code == 404
    assert response.json()["message"] == 'deployments.apps "nope" not found'
    assert response.json()["details"] == {"name": "nope", "group": "apps", "kind": "deployments"}


def test_a_list_has_a_kind_and_a_version(calls: Calls) -> None:
    found = calls.json(f"{calls.core}/configmaps")
    assert found["kind"] == "ConfigMapList"
    assert int(found["metadata"]["resourceVersion"]) > 0


def test_a_stale_write_is_a_conflict(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    path = f"{calls.core}/configmaps/c1"
    stale = calls.json(path)
    assert calls.put(path, stale | {"data": {"a": "2"}}).status_code == 200
    response = calls.put(path, stale | {"data": {"a": "3"}})
    assert response.status_code == 409
    assert response.json()["reason"] == "Conflict"
    assert response.json()["message"] == (
        'Operation cannot be fulfilled on configmaps "c1": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_replace_replaces_the_whole_object(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    path = f"{calls.core}/configmaps/c1"
    calls.put(path, calls.json(path) | {"data": {"only": "1"}})
    assert calls.json(path)["data"] == {"only": "1"}


def test_a_write_that_changes_nothing_keeps_the_version(calls: Calls) -> None:
    created = calls.post(f"{calls.core}/configmaps", config("c1")).json()
    assert calls.put(f"{calls.core}/configmaps/c1", created).json() == created


def test_null_in_a_merge_patch_deletes(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    patched = calls.patch(f"{calls.core}/configmaps/c1", {"data": {"a": None, "n": "1"}}, MERGE)
    assert patched.json()["data"] == {"n": "1"}


def test_a_json_patch_applies_when_its_test_holds(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    operations = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "2"}]
    assert calls.patch(f"{calls.core}/configmaps/c1", operations, JSON_PATCH).json()["data"] == {"a": "2"}


def test_a_json_patch_whose_test_fails_changes_nothing(calls: Calls) -> None:
    created = calls.post(f"{calls.core}/configmaps", config("c1")).json()
    operations = [{"op": "test", "path": "/data/a", "value": "x"}, {"op": "replace", "path": "/data/a", "value": "2"}]
    response = calls.patch(f"{calls.core}/configmaps/c1", operations, JSON_PATCH)
    assert (response.status_code, response.json()["reason"]) == (422, "Invalid")
    assert calls.json(f"{calls.core}/configmaps/c1") == created


def test_a_patch_may_carry_a_version_as_precondition(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    response = calls.patch(f"{calls.core}/configmaps/c1", {"metadata": {"resourceVersion": "1"}, "data": {"n": "9"}})
    assert response.status_code == 409


def test_a_deployment_gets_its_defaults(calls: Calls) -> None:
    spec = calls.post(f"{calls.apps}/deployments", deployment()).json()["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)


def containers(calls: Calls, patch: Json) -> dict[str, Json]:
    body = {"spec": {"template": {"spec": {"containers": [patch]}}}}
    patched = calls.patch(f"{calls.apps}/deployments/d1", body, STRATEGIC).json()
    return {one["name"]: one for one in patched["spec"]["template"]["spec"]["containers"]}


def test_a_strategic_patch_merges_containers_and_variables_by_name(calls: Calls) -> None:
    calls.post(f"{calls.apps}/deployments", deployment())
    found = containers(calls, {"name": "main", "env": [{"name": "NEW", "value": "v"}]})
    assert sorted(found) == ["main", "side"]
    assert {one["name"]: one["value"] for one in found["main"]["env"]} == {"A": "1", "NEW": "v"}
    assert found["main"]["image"] == "x"


def test_a_strategic_patch_deletes_by_directive(calls: Calls) -> None:
    calls.post(f"{calls.apps}/deployments", deployment())
    left = containers(calls, {"name": "main", "env": [{"name": "A", "$patch": "delete"}]})["main"]
    assert "env" not in left


def test_a_strategic_patch_orders_and_replaces_lists(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p"))
    calls.post(f"{calls.apps}/deployments", deployment())
    spec: Json = {"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}]}
    spec["containers"] = [{"name": "side", "image": "z"}, {"name": "main", "image": "x"}]
    body = {"spec": {"template": {"spec": spec}}}
    patched = calls.patch(f"{calls.apps}/deployments/d1", body, STRATEGIC).json()
    found = patched["spec"]["template"]["spec"]["containers"]
    assert [(one["name"], one["image"]) for one in found] == [("side", "z"), ("main", "x")]
    replaced = [{"$patch": "replace"}, {"name": "only", "image": "o"}]
    body = {"spec": {"template": {"spec": {"containers": replaced}}}}
    patched = calls.patch(f"{calls.apps}/deployments/d1", body, STRATEGIC).json()
    assert [one["name"] for one in patched["spec"]["template"]["spec"]["containers"]] == ["only"]


def test_the_generation_counts_changes_of_intent_only(calls: Calls) -> None:
    path = f"{calls.apps}/deployments/d1"
    calls.post(f"{calls.apps}/deployments", deployment())
    patches: list[Json] = [
        {"metadata": {"labels": {"x": "y"}}},
        {"spec": {"paused": True}},
        {"metadata": {"annotations": {"note": "1"}}},
    ]
    start = calls.json(path)["metadata"]["generation"]
    found = [calls.patch(path, patch).json()["metadata"]["generation"] - start for patch in patches]
    assert found == [0, 1, 2], "an annotation of a Deployment counts"


def test_a_selector_is_immutable(calls: Calls) -> None:
    calls.post(f"{calls.apps}/deployments", deployment())
    labels = {"app": "other"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}
    response = calls.patch(f"{calls.apps}/deployments/d1", {"spec": spec})
    assert response.status_code == 422
    assert [one["field"] for one in response.json()["details"]["causes"]] == ["spec.selector"]


def test_scale_is_a_face_of_the_deployment(calls: Calls) -> None:
    calls.post(f"{calls.apps}/deployments", deployment())
    path = f"{calls.apps}/deployments/d1"
    scale = calls.patch(f"{path}/scale", {"spec": {"replicas": 2}}).json()
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 2})
    assert scale["status"]["selector"] == "app=d1"
    assert calls.json(path)["spec"]["replicas"] == 2


def test_status_and_spec_are_written_apart(calls: Calls) -> None:
    path = f"{calls.core}/pods/p1"
    calls.post(f"{calls.core}/pods", pod("p1"))
    calls.patch(path, {"status": {"phase": "Running"}})
    assert calls.json(path)["status"]["phase"] == "Pending"
    calls.patch(f"{path}/status", {"status": {"phase": "Running"}, "spec": {"nodeName": "hack"}})
    found = calls.json(path)
    assert found["status"]["phase"] == "Running"
    assert "nodeName" not in found["spec"]


def test_conditions_are_merged_by_type(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p1"))
    for kind in ("Ready", "Other"):
        body = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
        calls.patch(f"{calls.core}/pods/p1/status", body, STRATEGIC)
    found = {one["type"] for one in calls.json(f"{calls.core}/pods/p1")["status"]["conditions"]}
    assert found >= {"Ready", "Other"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=p", ["p1"]),
        ("app==p", ["p1"]),
        ("app!=p", ["p2", "p3"]),
        ("app in (p,q)", ["p1", "p2"]),
        ("app notin (p)", ["p2", "p3"]),
        ("tier", ["p1"]),
        ("!tier", ["p2", "p3"]),
        ("app=p,tier=x", ["p1"]),
        ("app=p,tier=y", []),
    ],
)
def test_labels_select(calls: Calls, selector: str, expected: list[str]) -> None:
    calls.post(f"{calls.core}/configmaps", config("p1", labels={"app": "p", "tier": "x"}))
    calls.post(f"{calls.core}/configmaps", config("p2", labels={"app": "q"}))
    calls.post(f"{calls.core}/configmaps", config("p3"))
    assert names(calls, f"{calls.core}/configmaps?labelSelector={quote(selector)}") == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=p1", ["p1"]),
        ("status.phase=Running", ["p1"]),
        ("status.phase!=Running", ["p2"]),
        ("spec.nodeName=node-x", ["p2"]),
        ("spec.nodeName=", ["p1"]),
    ],
)
def test_fields_select(calls: Calls, selector: str, expected: list[str]) -> None:
    calls.post(f"{calls.core}/pods", pod("p1"))
    bound = pod("p2")
    bound["spec"]["nodeName"] = "node-x"
    calls.post(f"{calls.core}/pods", bound)
    calls.patch(f"{calls.core}/pods/p1/status", {"status": {"phase": "Running"}})
    assert names(calls, f"{calls.core}/pods?fieldSelector={quote(selector)}") == expected


def test_a_field_without_an_index_does_not_select(calls: Calls) -> None:
    response = calls.get(f"{calls.core}/pods?fieldSelector=spec.bogus%3D1")
    assert (response.status_code, response.json()["message"]) == (400, "field label not supported: spec.bogus")


def test_a_list_comes_in_pages(calls: Calls) -> None:
    for number in range(5):
        calls.post(f"{calls.core}/configmaps", config(f"c{number}", labels={"of": "pages"}))
    path, pages, token = f"{calls.core}/configmaps?limit=2&labelSelector=of%3Dpages", [], ""
    for _ in range(3):
        page = calls.json(path + (f"&continue={quote(token)}" if token else ""))
        pages.append([one["metadata"]["name"] for one in page["items"]])
        token = page["metadata"].get("continue", "")
    assert pages == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    assert token == ""


def test_a_finalizer_delays_the_end(calls: Calls) -> None:
    path = f"{calls.core}/configmaps/f1"
    calls.post(f"{calls.core}/configmaps", config("f1", finalizers=["x.io/f"]))
    calls.delete(path)
    assert "deletionTimestamp" in calls.json(path)["metadata"]
    calls.patch(path, {"metadata": {"finalizers": None}})
    assert calls.get(path).status_code == 404


def test_a_bound_pod_is_given_its_grace(calls: Calls) -> None:
    body, path = pod("p"), f"{calls.core}/pods/p"
    body["spec"]["nodeName"] = "node-x"
    calls.post(f"{calls.core}/pods", body)
    deleted = calls.delete(path).json()
    assert (deleted["kind"], deleted["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 3)
    calls.delete(path, {"gracePeriodSeconds": 0})
    assert calls.get(path).status_code == 404


def test_a_delete_with_another_uid_is_a_conflict(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("c1"))
    response = calls.delete(f"{calls.core}/configmaps/c1", {"preconditions": {"uid": "nope"}})
    assert (response.status_code, response.json()["reason"]) == (409, "Conflict")


def test_a_dry_run_stores_nothing(calls: Calls) -> None:
    assert calls.post(f"{calls.core}/configmaps?dryRun=All", config("dry")).status_code == 201
    assert calls.get(f"{calls.core}/configmaps/dry").status_code == 404
    calls.post(f"{calls.core}/configmaps", config("c1"))
    calls.patch(f"{calls.core}/configmaps/c1?dryRun=All", {"data": {"a": "2"}})
    assert calls.json(f"{calls.core}/configmaps/c1")["data"] == {"a": "1"}


def test_a_binding_gives_a_pod_its_node_once(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p"))
    body = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "node-x"}}
    assert calls.post(f"{calls.core}/pods/p/binding", body).status_code == 201
    assert calls.json(f"{calls.core}/pods/p")["spec"]["nodeName"] == "node-x"
    assert calls.post(f"{calls.core}/pods/p/binding", body).json()["reason"] == "Conflict"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_pod_without_a_budget_is_evicted(calls: Calls, version: str) -> None:
    calls.post(f"{calls.core}/pods", pod("p"))
    body = {"apiVersion": f"policy/{version}", "kind": "Eviction", "metadata": {"name": "p"}}
    assert calls.post(f"{calls.core}/pods/p/eviction", body).status_code == 201
    assert calls.get(f"{calls.core}/pods/p").status_code == 404


def test_a_budget_refuses_an_eviction(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p", labels={"app": "q"}))
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    calls.patch(f"{calls.core}/pods/p/status", {"status": status}, STRATEGIC)
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "q"}}}
    path = f"/apis/policy/v1/namespaces/{calls.namespace}/poddisruptionbudgets"
    assert calls.post(path, {"metadata": {"name": "b"}, "spec": spec}).status_code == 201
    response = calls.post(f"{calls.core}/pods/p/eviction", {"metadata": {"name": "p"}})
    assert (response.status_code, response.json()["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")


def test_a_selection_is_deleted_at_once(calls: Calls) -> None:
    for name in ("a", "b"):
        calls.post(f"{calls.core}/configmaps", config(name, labels={"on": name}))
    assert calls.delete(f"{calls.core}/configmaps?labelSelector=on%3Da").status_code == 200
    assert names(calls, f"{calls.core}/configmaps") == ["b"]


def test_nothing_is_created_in_a_namespace_that_is_not_there(calls: Calls) -> None:
    response = calls.post("/api/v1/namespaces/nowhere/configmaps", config("c"))
    assert (response.status_code, response.json()["message"]) == (404, 'namespaces "nowhere" not found')


def test_an_unknown_field_is_dropped_or_refused_as_the_client_wishes(calls: Calls) -> None:
    body = config("c1") | {"bogus": 1}
    response = calls.post(f"{calls.core}/configmaps?fieldValidation=Strict", body)
    assert response.status_code == 400
    assert response.json()["message"] == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "bogus"'
    )
    assert "bogus" not in calls.post(f"{calls.core}/configmaps", body).json()


def test_a_value_of_the_wrong_type_is_refused(calls: Calls) -> None:
    body = deployment()
    body["spec"]["replicas"] = "three"
    response = calls.post(f"{calls.apps}/deployments", body)
    assert response.status_code == 400
    assert response.json()["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: spec.replicas must be of type integer'
    )


def test_the_spec_of_a_pod_is_frozen_but_for_its_images(calls: Calls) -> None:
    calls.post(f"{calls.core}/pods", pod("p"))
    image = {"spec": {"containers": [{"name": "c", "image": "new"}]}}
    assert calls.patch(f"{calls.core}/pods/p", image, STRATEGIC).status_code == 200
    response = calls.patch(f"{calls.core}/pods/p", {"spec": {"hostname": "other"}})
    assert (response.status_code, response.json()["reason"]) == (422, "Invalid")


def test_events_are_the_same_objects_in_both_groups(calls: Calls) -> None:
    about = {"kind": "Pod", "namespace": calls.namespace, "name": "p", "uid": "1-1"}
    body = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Sad", "message": "text", "type": "Warning"}
    assert calls.post(f"{calls.core}/events", body).status_code == 201
    found = calls.json(f"/apis/events.k8s.io/v1/namespaces/{calls.namespace}/events/e")
    assert (found["apiVersion"], found["note"], found["regarding"]) == ("events.k8s.io/v1", "text", about)
    new = {"metadata": {"name": "n"}, "regarding": about, "note": "other", "reason": "Glad", "type": "Normal"}
    new |= {"eventTime": "2026-01-01T00:00:00.000000Z", "action": "Act", "reportingController": "test"}
    assert calls.post(f"/apis/events.k8s.io/v1/namespaces/{calls.namespace}/events", new).status_code == 201
    selector = quote("involvedObject.name=p,type=Normal")
    [old] = calls.json(f"{calls.core}/events?fieldSelector={selector}")["items"]
    assert (old["message"], old["involvedObject"], old["reportingComponent"]) == ("other", about, "test")


def test_a_secret_keeps_its_strings_encoded(calls: Calls) -> None:
    body = {"metadata": {"name": "s"}, "stringData": {"token": "abc"}}
    created = calls.post(f"{calls.core}/secrets", body).json()
    assert (created["type"], created["data"]) == ("Opaque", {"token": "YWJj"})
