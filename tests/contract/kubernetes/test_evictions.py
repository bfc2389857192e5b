"""Evictions: what a disruption budget refuses, and what an allowed one does."""

from tests.contract.kubernetes.objects import budget, pod
from tests.contract.kubernetes.puppet import Puppet
from tests.contract.kubernetes.server import Answer, Json, Space, eventually

REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
WEB = {"app": "web"}


def evict(space: Space, name: str, **options: object) -> Answer:
    body: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return space.server.call("POST", space.path("Pod", name, "eviction"), body | {"deleteOptions": options or None})


def serve(puppet: Puppet, *names: str) -> None:
    for name in names:
        puppet.space.made(pod(name, node=puppet.name, labels=WEB))
        puppet.run(name)


def guard(space: Space, allowed: int, **spec: object) -> None:
    """A budget, as soon as its controller has counted."""
    space.made(budget("b", WEB, **spec))

    def is_counted() -> bool:
        found = space.read("PodDisruptionBudget", "b").body
        status = found.get("status", {})
        is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return is_seen and status.get("disruptionsAllowed") == allowed

    eventually(is_counted, f"the budget allows {allowed}")


def test_an_eviction_that_would_break_the_budget_is_refused(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p")
    guard(space, 0, minAvailable=1)
    answer = evict(space, "p")
    assert answer.said == (429, "TooManyRequests")
    assert answer.body["message"] == REFUSED
    cause = {
        "reason": "DisruptionBudget",
        "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
    }
    assert answer.body["details"] == {"causes": [cause]}
    assert "deletionTimestamp" not in space.read("Pod", "p").body["metadata"]


def test_a_budget_is_used_up_by_the_first_eviction(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p", "q")
    guard(space, 1, minAvailable=1)
    assert evict(space, "p").status == 201
    assert evict(space, "q").said == (429, "TooManyRequests")


def test_a_dry_eviction_asks_the_budget_and_changes_nothing(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p", "q")
    guard(space, 1, minAvailable=1)
    for _ in range(2):
        assert evict(space, "p", dryRun=["All"]).status == 201
    assert "deletionTimestamp" not in space.read("Pod", "p").body["metadata"]
    assert evict(space, "p").status == 201
    assert evict(space, "q", dryRun=["All"]).status == 429


def test_an_evicted_pod_is_given_its_grace_and_told_why(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p")
    answer = evict(space, "p")
    assert (answer.status, answer.body["status"]) == (201, "Success")
    found = space.read("Pod", "p").body
    assert found["metadata"]["deletionGracePeriodSeconds"] == 3
    [target] = [one for one in found["status"]["conditions"] if one["type"] == "DisruptionTarget"]
    assert (target["status"], target["reason"], target["message"]) == (
        "True",
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
    )


def test_an_eviction_can_ask_for_a_grace_of_its_own(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p")
    evict(space, "p", gracePeriodSeconds=7)
    assert space.read("Pod", "p").body["metadata"]["deletionGracePeriodSeconds"] == 7


def test_an_eviction_of_another_uid_is_a_conflict(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p")
    assert evict(space, "p", preconditions={"uid": "other"}).said == (409, "Conflict")


def test_an_eviction_of_nobody_is_not_found(space: Space) -> None:
    assert evict(space, "nobody").said == (404, "NotFound")


def test_a_pod_that_does_not_run_is_evicted_whatever_the_budget_says(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p")
    guard(space, 0, minAvailable=1)
    space.made(pod("waits", labels=WEB))
    assert evict(space, "waits").status == 201
    assert not space.exists("Pod", "waits")


def test_an_unready_pod_is_spared_while_the_budget_is_broken(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p", "q")
    puppet.run("q", ready=False)
    guard(space, 0, minAvailable=2)
    assert evict(space, "q").status == 429


def test_an_unready_pod_may_go_while_the_budget_holds(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p", "q")
    puppet.run("q", ready=False)
    guard(space, 0, minAvailable=1)
    assert evict(space, "q").status == 201


def test_an_unready_pod_may_always_go_where_the_budget_says_so(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p", "q")
    puppet.run("q", ready=False)
    guard(space, 0, minAvailable=2, unhealthyPodEvictionPolicy="AlwaysAllow")
    assert evict(space, "q").status == 201


def test_two_budgets_for_one_pod_are_an_error(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p")
    for name in ("one", "two"):
        space.made(budget(name, WEB, minAvailable=0))
    answer = evict(space, "p")
    assert answer.said == (500, "")
    assert "more than one PodDisruptionBudget" in answer.body["message"]


def test_a_budget_counts_its_pods(space: Space, puppet: Puppet) -> None:
    serve(puppet, "p", "q")
    puppet.run("q", ready=False)
    guard(space, 0, minAvailable=1)
    status = space.read("PodDisruptionBudget", "b").body["status"]
    counted = {name: status[name] for name in ("currentHealthy", "desiredHealthy", "expectedPods")}
    assert counted == {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 2}
    [allowed] = status["conditions"]
    assert (allowed["type"], allowed["status"], allowed["reason"]) == ("DisruptionAllowed", "False", "InsufficientPods")


def test_a_budget_with_both_bounds_is_invalid(space: Space) -> None:
    assert space.create(budget("b", WEB, minAvailable=1, maxUnavailable=1)).said == (422, "Invalid")
