"""The official Python client against the server: the calls that adapters make."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.lab.apiserver.calls import Calls, deployment, pod
from tests.lab.apiserver.test_server import CRD


@pytest.fixture
def api(server: str) -> Iterator[client.ApiClient]:
    configuration = client.Configuration()
    configuration.host = server
    configuration.proxy = None
    with client.ApiClient(configuration) as api:
        yield api


def test_the_client_lists_and_patches_pods(api: client.ApiClient, calls: Calls) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_pod(calls.namespace, pod("p"))
    body = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    core.patch_namespaced_pod_status("p", calls.namespace, body)
    core.patch_namespaced_pod("p", calls.namespace, [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}])
    [found] = core.list_namespaced_pod(calls.namespace, label_selector="a=b").items
    conditions = {one.type: one.status for one in found.status.conditions}
    assert (found.metadata.name, conditions["Ready"]) == ("p", "True")


def test_the_client_watches(api: client.ApiClient, calls: Calls) -> None:
    core = client.CoreV1Api(api)
    start = core.list_namespaced_config_map(calls.namespace).metadata.resource_version
    for name in ("a", "b"):
        core.create_namespaced_config_map(calls.namespace, {"metadata": {"name": name}})
    stream = watch.Watch()
    seen = []
    for event in stream.stream(
        core.list_namespaced_config_map, calls.namespace, resource_version=start, timeout_seconds=10
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            stream.stop()
    assert seen == [("ADDED", "a"), ("ADDED", "b")]


def test_the_client_evicts_and_deletes(api: client.ApiClient, calls: Calls) -> None:
    core = client.CoreV1Api(api)
    for name in ("a", "b"):
        core.create_namespaced_pod(calls.namespace, pod(name))
    meta = client.V1ObjectMeta(name="a", namespace=calls.namespace)
    core.create_namespaced_pod_eviction("a", calls.namespace, client.V1Eviction(metadata=meta))
    options = client.V1DeleteOptions(grace_period_seconds=0, preconditions=client.V1Preconditions(uid="other"))
    with pytest.raises(ApiException) as refusal:
        core.delete_namespaced_pod("b", calls.namespace, body=options)
    assert refusal.value.status == 409
    assert [one.metadata.name for one in core.list_namespaced_pod(calls.namespace).items] == ["b"]


def test_the_client_renews_a_lease_with_a_version_as_guard(api: client.ApiClient, calls: Calls) -> None:
    leases = client.CoordinationV1Api(api)
    spec = client.V1LeaseSpec(holder_identity="me", lease_duration_seconds=15, renew_time=datetime.now(UTC))
    body = client.V1Lease(metadata=client.V1ObjectMeta(name="l"), spec=spec)
    lease = leases.create_namespaced_lease(calls.namespace, body)
    lease.spec.holder_identity = "other"
    renewed = leases.replace_namespaced_lease("l", calls.namespace, lease)
    assert renewed.spec.holder_identity == "other"
    with pytest.raises(ApiException) as refusal:
        leases.replace_namespaced_lease("l", calls.namespace, lease)
    assert (refusal.value.status, refusal.value.reason) == (409, "Conflict")


def test_the_client_rolls_a_deployment_out(api: client.ApiClient, calls: Calls) -> None:
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment(calls.namespace, deployment("web"))
    template = {"spec": {"containers": [{"name": "main", "image": "new"}]}}
    apps.patch_namespaced_deployment("web", calls.namespace, {"spec": {"template": template}})
    apps.patch_namespaced_deployment_scale("web", calls.namespace, {"spec": {"replicas": 2}})
    found = apps.read_namespaced_deployment("web", calls.namespace)
    assert found.spec.replicas == 2
    assert {one.name: one.image for one in found.spec.template.spec.containers} == {"main": "new", "side": "y"}


def test_the_client_works_with_custom_objects(api: client.ApiClient, calls: Calls) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    calls.post(crds, CRD)
    custom = client.CustomObjectsApi(api)
    place = ("ct.io", "v1", calls.namespace, "ws")
    custom.create_namespaced_custom_object(*place, {"metadata": {"name": "w"}, "spec": {"n": 1}})
    custom.patch_namespaced_custom_object(*place, "w", {"spec": {"n": 2}})
    custom.patch_namespaced_custom_object_status(*place, "w", {"status": {"state": "done"}})
    found = custom.get_namespaced_custom_object(*place, "w")
    assert (found["spec"], found["status"]) == ({"n": 2}, {"state": "done"})
    calls.delete(f"{crds}/ws.ct.io")


def test_the_client_asks_whether_it_may(api: client.ApiClient) -> None:
    attributes = client.V1ResourceAttributes(verb="patch", resource="nodes")
    body = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(body).status.allowed is True
