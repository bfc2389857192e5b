"""What is asked again, when and how often: all in virtual time."""

from contextlib import closing

import pytest

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.ports import Edit, ObjectRef
from scenario_runner.errors import TargetUnreachable
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import nobody, serving
from tests.fakes import FakeClock

NODE = {"metadata": {"uid": "uid", "resourceVersion": "1", "name": "gpu-1"}, "spec": {}}
REF = ObjectRef("v1", "Node", "", "gpu-1", "uid")
TROUBLE = {"kind": "Status", "apiVersion": "v1", "reason": "Trouble", "message": "not now"}


class Script:
    """Answers requests of one method by a list of acts, then well; counts them."""

    def __init__(self, method, *acts):
        self.count = 0
        self._method = method
        self._acts = iter(acts)

    def __call__(self, request):
        if request.command == self._method:
            self.count += 1
            act = next(self._acts, None)
            if act is not None:
                act(request)
                return
        request.reply(200, NODE)


def says(status, **headers):
    return lambda request: request.reply(status, TROUBLE, **headers)


def cuts(request):
    request.cut()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ask(tmp_path, clock):
    def ask(script, call):
        with (
            serving(script) as url,
            closing(KubernetesCluster(write_kubeconfig(tmp_path, url), clock=clock)) as cluster,
        ):
            return call(cluster)

    return ask


def read(cluster):
    return cluster.node("gpu-1")


def change(cluster):
    return cluster.edit(REF, "1", (Edit(("spec", "unschedulable"), None, True),))


@pytest.mark.parametrize("act", [cuts, says(500), says(502), says(503), says(504)])
def test_a_read_is_tried_again_after_trouble(ask, clock, act):
    script = Script("GET", act, act)
    assert ask(script, read).name == "gpu-1"
    assert (script.count, clock.monotonic()) == (3, pytest.approx(0.1 + 0.2))


@pytest.mark.parametrize("act", [cuts, says(500), says(503)])
def test_a_change_that_may_have_been_made_is_not_tried_again(ask, act):
    script = Script("PATCH", act)
    with pytest.raises(TargetUnreachable) as caught:
        ask(script, change)
    assert (script.count, caught.value.sent) == (1, True)


def test_a_change_that_the_server_put_off_is_made_when_it_asks_for(ask, clock):
    script = Script("PATCH", says(429, Retry_After="2"), says(429, Retry_After="1"))
    ask(script, change)
    assert (script.count, clock.monotonic()) == (3, 3.0)


def test_a_server_that_does_not_say_how_long_to_wait_is_given_a_second(ask, clock):
    script = Script("GET", says(429))
    ask(script, read)
    assert (script.count, clock.monotonic()) == (2, 1.0)


def test_a_server_that_asks_for_more_time_than_a_request_has_is_not_waited_for(ask, clock):
    script = Script("GET", says(429, Retry_After="60"))
    with pytest.raises(TargetUnreachable):
        ask(script, read)
    assert (script.count, clock.monotonic()) == (1, 0.0)


def test_all_tries_together_take_no_longer_than_one_request_may(tmp_path, clock):
    with nobody() as url, closing(KubernetesCluster(write_kubeconfig(tmp_path, url), clock=clock)) as cluster:
        with pytest.raises(TargetUnreachable):
            read(cluster)
        assert 3.0 < clock.monotonic() < 5.0


def test_a_burst_of_requests_is_spread(ask, clock):
    def burst(cluster):
        for _ in range(100):
            read(cluster)
        assert clock.monotonic() == 0
        for _ in range(50):
            read(cluster)
        assert clock.monotonic() == pytest.approx(1.0)

    script = Script("GET")
    ask(script, burst)
    assert script.count == 150
