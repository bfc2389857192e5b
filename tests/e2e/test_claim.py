"""Claims and changes on the real API server: what it refuses is what keeps two runners apart."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from scenario_runner.adapters.kubeconfig import select
from scenario_runner.adapters.kubernetes_claim import KubernetesClaimStore
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.adapters.kubernetes_edits import json_patch, precondition
from scenario_runner.core.claims import Lease, RunCopy
from scenario_runner.core.clock import Bell, Deadline, SystemClock
from scenario_runner.core.edits import CLAIM, claim_of, leaf
from scenario_runner.core.ports import Document, Edit, ObjectRef
from scenario_runner.core.step import Act, UndoContext
from scenario_runner.core.undo import UNDOS
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.engine import cluster_claim, leases
from scenario_runner.engine.beats import ThreadBeats
from scenario_runner.engine.cluster_claim import ClusterHold
from scenario_runner.engine.leases import Seat
from scenario_runner.engine.records import Promise
from scenario_runner.engine.run_card import RunCard, Scope
from scenario_runner.errors import Fenced, Orphaned, Refused, TargetRefused
from tests.contract.test_changes import CUSTOM, definition
from tests.e2e.cluster import Cluster
from tests.e2e.namespace import Namespace
from tests.e2e.running import wait_for

pytestmark = pytest.mark.e2e

CONTAINERS = ("spec", "template", "spec", "containers", "name=main")
PRELOAD = {"name": "LD_PRELOAD", "value": "/cuda/ours.so"}
FAULT = RecoverFault(fault_id="nowhere~f", node="nowhere", xid=79)
CLOCK = SystemClock(Bell())
PROMISE = Promise(1, "inject", (), FAULT, FAULT.undo, "1.0")


def api_of(cluster: Cluster) -> KubernetesCluster:
    return KubernetesCluster(select([cluster.kubeconfig], cluster.context))


@pytest.fixture
def api(cluster: Cluster) -> Iterator[KubernetesCluster]:
    made = api_of(cluster)
    yield made
    made.close()


@pytest.fixture
def store(api: KubernetesCluster) -> KubernetesClaimStore:
    return KubernetesClaimStore(api.rest, CLOCK)


@dataclass(frozen=True)
class Machines:
    """Two machines whose runs want one target, which no other test has; Leases last 6 seconds here."""

    store: KubernetesClaimStore
    card: RunCard

    def seat(self, host: str) -> Seat:
        return Seat(self.store, CLOCK, UNDOS, host, seconds=6.0)

    def take(self, host: str, run_id: str = "") -> ClusterHold:
        return cluster_claim.take(self.seat(host), replace(self.card, run_id=run_id or self.card.run_id))

    def take_over(self, host: str, *, takeover: bool) -> ClusterHold:
        return cluster_claim.take_over(self.seat(host), self.card, takeover=takeover, owner_is_dead=False)


@pytest.fixture
def machines(store: KubernetesClaimStore) -> Iterator[Machines]:
    name = f"e2e-{secrets.token_hex(3)}"
    card = RunCard(name, "drill", "d.yaml", "0" * 64, "", "", "", "", "", (f"target of {name}",), scope=Scope())
    yield Machines(store, card)
    lease, copy = store.lease(card.targets[0]), store.copy(card.run_id)
    if lease is not None:
        store.drop_lease(lease)
    if copy is not None:
        store.drop_copy(copy)


def refusal_of(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(TargetRefused) as refused:
        call(*arguments)
    return refused.value.code


def test_a_lease_is_renewed_only_by_who_saw_its_last_version_and_never_comes_back(store: KubernetesClaimStore) -> None:
    """A PUT may create a Lease: a run that was given up must not find its way back by it."""
    wanted = Lease(f"e2e {secrets.token_hex(3)}", "run-a", "2026-01-01T00:00:00.000001Z", 30.0, "here")
    first = store.add_lease(wanted)
    second = store.write_lease(replace(first, renewed="2026-01-01T00:00:05.000000Z"))
    assert refusal_of(store.write_lease, first) == "Conflict"
    assert refusal_of(store.add_lease, wanted) == "AlreadyExists"
    assert store.lease(wanted.target) == second
    assert refusal_of(store.drop_lease, first) == "Conflict"
    store.drop_lease(second)
    assert refusal_of(store.write_lease, second) in {"Conflict", "NotFound"}
    assert store.lease(wanted.target) is None
    again = store.add_lease(wanted)
    assert refusal_of(store.write_lease, second) == "Conflict"
    assert refusal_of(store.drop_lease, second) == "Conflict"
    store.drop_lease(again)


def test_a_copy_of_900_kib_is_kept(store: KubernetesClaimStore) -> None:
    copy = store.add_copy(RunCopy(f"e2e-{secrets.token_hex(3)}", "run-a", "{}\n", "x" * 900 * 1024))
    assert store.copy(copy.run_id) == copy
    store.drop_copy(copy)
    assert store.copy(copy.run_id) is None


def test_two_runners_on_one_target_one_refuses(machines: Machines) -> None:
    first = machines.take("one")
    beat = _beating(first)
    with pytest.raises(Refused, match=r"belongs to run e2e-\w+ on one, which is still running"):
        machines.take("two", "another")
    beat()
    first.release(())
    machines.take("two", "another").release(())
    assert machines.store.lease(machines.card.targets[0]) is None


def test_a_dead_run_is_orphaned_and_taken_over_after_a_whole_duration(machines: Machines) -> None:
    dead = machines.take("one")
    dead.promised((PROMISE,))
    with pytest.raises(Orphaned, match=f"type `scenario-runner recover {machines.card.run_id}` first"):
        leases.refuse_orphans(machines.seat("two"))
    with pytest.raises(Refused, match="add --takeover"):
        machines.take_over("two", takeover=False)

    rescue = machines.take_over("two", takeover=True)

    with pytest.raises(Fenced, match="who has it now takes our changes back"):
        dead.check()
    rescue.release((replace(PROMISE, state="kept"),))
    assert machines.store.copy(machines.card.run_id) is None
    leases.refuse_orphans(machines.seat("two"))


def test_a_run_that_lives_is_not_taken_over(machines: Machines) -> None:
    first = machines.take("one")
    first.promised((PROMISE,))
    beat = _beating(first)
    with pytest.raises(Refused, match="renewed its Lease while we watched"):
        machines.take_over("two", takeover=True)
    leases.refuse_orphans(machines.seat("two"))
    beat()
    first.check()
    first.release((replace(PROMISE, state="kept"),))


def _beating(hold: ClusterHold) -> Callable[[], None]:
    return ThreadBeats().every(hold.every, hold.renew, "lease")


@pytest.fixture
def deployment(namespace: Namespace, api: KubernetesCluster) -> ObjectRef:
    namespace.deploy("web", 1)
    return found(api, ObjectRef("apps/v1", "Deployment", namespace.name, "web")).ref


def found(api: KubernetesCluster, ref: ObjectRef) -> Document:
    document = api.read(ref)
    assert document is not None
    return document


def undoing(api: KubernetesCluster, claim: str = "run-a/1") -> UndoContext:
    return UndoContext(CLOCK, Deadline.after(CLOCK, 60.0), None, api, claim)  # type: ignore[arg-type]


def acting(api: KubernetesCluster, claim: str = "run-a/1") -> Act:
    return Act(None, api, claim)  # type: ignore[arg-type]


def test_edits_under_a_claim_are_set_back_to_the_letter(api: KubernetesCluster, deployment: ObjectRef) -> None:
    before = found(api, deployment)
    volume = {"name": "cuda", "configMap": {"name": "library", "defaultMode": 292, "optional": True}}
    edits = [
        Edit((*CONTAINERS, "env", "name=LD_PRELOAD"), None, PRELOAD),
        Edit(("spec", "template", "spec", "volumes", "name=cuda"), None, volume),
    ]
    undo = RevertEdits.of(before, edits)

    changed = undo.make(acting(api))

    assert leaf(changed.content, (*CONTAINERS, "env", "name=LD_PRELOAD")) == PRELOAD
    assert claim_of(changed.content) == "run-a/1"
    managers = {one["manager"] for one in changed.content["metadata"]["managedFields"]}
    assert "scenario-runner" in managers
    assert (undo.leftover(undoing(api)) or "").startswith(f"edits of Deployment {deployment.namespace}/web: spec.")

    assert undo.take_back(undoing(api)).endswith("2 of 2 values set back")

    wait_for("the rollout back is over", 90, lambda: undo.leftover(undoing(api)) is None)
    after = found(api, deployment)
    assert after.content["spec"] == before.content["spec"]
    assert _annotations(after) == _annotations(before)
    assert refusal_of(api.edit_claimed, deployment, "run-a/1", tuple(edits)) == "Conflict"


def _annotations(document: Document) -> dict[str, str]:
    """Without the revision, which counts rollouts."""
    annotations = document.content["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key != "deployment.kubernetes.io/revision"}


def test_a_patch_that_arrives_after_the_claim_was_taken_off_gets_422(
    api: KubernetesCluster, deployment: ObjectRef
) -> None:
    """The very request that was on its way: nobody looks at the object again before it is carried out."""
    edit = Edit((*CONTAINERS, "env", "name=LD_PRELOAD"), None, PRELOAD)
    undo = RevertEdits.of(found(api, deployment), [edit])
    claimed = api.claim(deployment, "run-a/1")
    late = [
        one for one in precondition(deployment.uid, claimed.resource_version, "run-a/1")
        if one["path"] != "/metadata/resourceVersion"
    ] + json_patch(claimed.content, [edit])  # fmt: skip
    path = f"/apis/apps/v1/namespaces/{deployment.namespace}/deployments/web"
    assert undo.take_back(undoing(api)).endswith("has nothing of ours")

    with pytest.raises(TargetRefused) as refused:
        api.rest.json_patch(path, late)

    assert refused.value.code == "Invalid"
    assert leaf(found(api, deployment).content, edit.path) is None


def test_another_run_respects_the_claim_on_an_object(api: KubernetesCluster, deployment: ObjectRef) -> None:
    api.claim(deployment, "run-a/1")
    with pytest.raises(TargetRefused, match=f"is being changed by run run-a: its annotation {CLAIM} says so"):
        api.claim(deployment, "run-b/1")
    assert (
        refusal_of(api.claim, replace(deployment, uid="00000000-0000-0000-0000-000000000000"), "run-a/1") == "Conflict"
    )


def test_a_created_object_is_deleted_by_its_uid_and_its_claim(api: KubernetesCluster, namespace: Namespace) -> None:
    name = DeleteCreated.name_for("run-a", "cuda")
    undo = DeleteCreated(api_version="v1", kind="ConfigMap", namespace=namespace.name, name=name)
    made = undo.make(acting(api), {"data": {"a": "b"}})
    assert refusal_of(api.delete, replace(made.ref, uid="00000000-0000-0000-0000-000000000000")) == "Conflict"
    assert refusal_of(undo.make, acting(api), {}) == "AlreadyExists"
    assert undo.take_back(undoing(api, "run-b/1")).endswith("is not there")
    assert undo.leftover(undoing(api)) == f"our ConfigMap {namespace.name}/{name} is still there"
    assert undo.take_back(undoing(api)).endswith("was deleted")
    assert api.read(undo.touches()) is None


@pytest.mark.parametrize("custom", CUSTOM, ids=["LWS", "DGD alpha", "DGD beta"])
def test_custom_workloads_are_set_back_to_the_letter(
    cluster: Cluster, api: KubernetesCluster, namespace: Namespace, custom: tuple[str, str, object, tuple[str, ...]]
) -> None:
    """Of a group of the test's own: the shape is what matters."""
    version, kind, spec, env = custom
    group = f"{secrets.token_hex(3)}.example.com"
    own = f"{group}/{version.partition('/')[2]}"
    crd = definition(group, kind, own)
    name = crd["metadata"]["name"]
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(crd))
    try:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        namespace.apply({"apiVersion": own, "kind": kind, "metadata": {"name": "w"}, "spec": spec})
        before = found(api, ObjectRef(own, kind, namespace.name, "w"))
        undo = RevertEdits.of(before, [Edit((*env, "name=LD_PRELOAD"), None, PRELOAD)])

        changed = undo.make(acting(api))

        assert leaf(changed.content, (*env, "name=LD_PRELOAD")) == PRELOAD
        undo.take_back(undoing(api))
        after = found(api, before.ref)
        assert after.content["spec"] == before.content["spec"]
        assert _annotations(after) == _annotations(before)
        assert undo.leftover(undoing(api)) is None
    finally:
        cluster.kubectl("delete", "crd", name, "--wait=false")


def test_kubectl_describe_tells_who_changed_a_node(cluster: Cluster, store: KubernetesClaimStore) -> None:
    message = f"run {secrets.token_hex(4)} changes this"
    store.announce(ObjectRef("v1", "Node", "", cluster.nodes[0]), "FaultDrill", message)
    told = cluster.kubectl("describe", "node", cluster.nodes[0])
    assert message in told
