"""Claims in the cluster: the fake store, and the real one before the lab's API server."""

from dataclasses import replace

import pytest

from scenario_runner.adapters.kubernetes_claim import KubernetesClaimStore
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.claims import Lease, RunCopy
from scenario_runner.core.clock import Bell, SystemClock
from scenario_runner.core.ports import ObjectRef
from scenario_runner.errors import TargetRefused
from tests.fakes import FakeClaimStore

LEASE = Lease("gpu-1 of the rack", "run-a", "2026-01-01T00:00:00.000001Z", 30.0, "here", "boot-1")
COPY = RunCopy("20260101-000000-drill-abcd", "run-a", '{"card":1}\n', '{"line":1}\n{"line":2}\n')


@pytest.fixture(params=["fake", "real"])
def store(request):
    if request.param == "fake":
        yield FakeClaimStore()
        return
    cluster = KubernetesCluster(request.getfixturevalue("api_server"))
    real = KubernetesClaimStore(cluster.rest, SystemClock(Bell()))
    yield real
    leave_nothing(real)
    cluster.close()


def leave_nothing(store):
    for lease in store.leases():
        store.drop_lease(lease)
    for copy in store.copies():
        store.drop_copy(copy)


def refusal_of(call, *arguments):
    with pytest.raises(TargetRefused) as refused:
        call(*arguments)
    return refused.value.code


def test_at_first_there_is_nothing(store):
    assert (store.leases(), store.copies()) == ((), ())
    assert (store.lease("gpu-1"), store.copy("run-a")) == (None, None)


def test_a_lease_is_read_as_it_was_written(store):
    added = store.add_lease(LEASE)
    assert replace(added, version="") == LEASE
    assert store.lease(LEASE.target) == added
    assert store.leases() == (added,)


def test_a_lease_is_renewed_by_who_saw_its_last_version(store):
    first = store.add_lease(LEASE)
    second = store.write_lease(replace(first, renewed="2026-01-01T00:00:05.000000Z"))
    assert second.version != first.version
    assert refusal_of(store.write_lease, replace(first, holder="run-b")) == "Conflict"
    assert store.lease(LEASE.target) == second


def test_two_runs_can_not_add_the_same_lease(store):
    added = store.add_lease(LEASE)
    assert refusal_of(store.add_lease, replace(LEASE, holder="run-b")) == "AlreadyExists"
    assert store.lease(LEASE.target) == added


def test_a_lease_that_was_given_back_is_not_written_again(store):
    added = store.add_lease(LEASE)
    store.drop_lease(added)
    assert store.leases() == ()
    assert refusal_of(store.write_lease, added) == "NotFound"
    assert refusal_of(store.drop_lease, added) == "NotFound"
    assert store.leases() == ()


def test_a_lease_that_somebody_made_anew_is_another_one(store):
    """It may even have the same holder: a run that had been given up must not find its way back."""
    added = store.add_lease(LEASE)
    store.drop_lease(added)
    again = store.add_lease(LEASE)
    assert refusal_of(store.write_lease, added) == "Conflict"
    assert refusal_of(store.drop_lease, added) == "Conflict"
    assert store.lease(LEASE.target) == again


def test_a_copy_is_read_as_it_was_written(store):
    added = store.add_copy(COPY)
    assert replace(added, version="") == COPY
    assert (store.copy(COPY.run_id), store.copies()) == (added, (added,))
    assert refusal_of(store.add_copy, COPY) == "AlreadyExists"


def test_a_copy_is_written_and_dropped_by_who_saw_its_last_version(store):
    first = store.add_copy(COPY)
    second = store.write_copy(replace(first, promises="", holder="run-a/1"))
    assert refusal_of(store.write_copy, first) == "Conflict"
    assert refusal_of(store.drop_copy, first) == "Conflict"
    assert store.copy(COPY.run_id) == second
    store.drop_copy(second)
    assert store.copies() == ()


def test_a_copy_may_have_900_kib(store):
    added = store.add_copy(replace(COPY, promises="x" * 900 * 1024))
    assert len(store.copy(COPY.run_id).promises) == len(added.promises) == 900 * 1024


class TestKubernetes:
    @pytest.fixture
    def cluster(self, api_server):
        made = KubernetesCluster(api_server)
        yield made
        made.close()

    @pytest.fixture
    def real(self, cluster):
        store = KubernetesClaimStore(cluster.rest, SystemClock(Bell()))
        yield store
        leave_nothing(store)

    def test_the_objects_say_in_words_what_they_are(self, real, cluster):
        real.add_lease(LEASE)
        real.add_copy(COPY)
        found = cluster.rest.get("/apis/coordination.k8s.io/v1/namespaces/scenario-runner/leases")["items"][0]
        metadata = found["metadata"]
        assert metadata["name"] == "target-9a4524e50ab79493"
        assert metadata["labels"] == {"app.kubernetes.io/managed-by": "scenario-runner"}
        assert metadata["annotations"] == {
            "scenario-runner/target": "gpu-1 of the rack",
            "scenario-runner/host": "here",
            "scenario-runner/boot": "boot-1",
        }
        assert found["spec"] == {
            "holderIdentity": "run-a",
            "leaseDurationSeconds": 30,
            "renewTime": "2026-01-01T00:00:00.000001Z",
        }
        path = f"/api/v1/namespaces/scenario-runner/configmaps/run-{COPY.run_id}"
        assert cluster.rest.get(path)["data"] == {"run.jsonl": COPY.card, "undo.jsonl": COPY.promises}

    def test_the_namespace_is_made_where_it_is_missing(self, real, cluster):
        real.add_lease(LEASE)
        assert "scenario-runner" in cluster.namespaces()

    @pytest.mark.parametrize(
        ("about", "uid"),
        [
            (ObjectRef("v1", "Node", "", "gpu-1"), "gpu-1"),
            (ObjectRef("apps/v1", "Deployment", "default", "web", "uid-web"), "uid-web"),
            (ObjectRef("v1", "ConfigMap", "default", "new"), ""),
        ],
    )
    def test_an_event_stands_with_the_object_that_it_is_about(self, real, cluster, about, uid):
        real.announce(about, "FaultDrill", f"changes {about.name}")
        events = cluster.rest.get("/api/v1/namespaces/default/events")["items"]
        (event,) = [one for one in events if one["message"] == f"changes {about.name}"]
        assert (event["reason"], event["type"], event["source"]) == (
            "FaultDrill", "Normal", {"component": "scenario-runner"},
        )  # fmt: skip
        assert (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (about.kind, about.name)
        assert event["involvedObject"].get("uid", "") == uid
