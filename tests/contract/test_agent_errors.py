"""Everything that can go wrong between us and the agents becomes one of our errors, in a sentence."""

import inspect
from contextlib import closing

import httpx
import pytest

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.core.ports import Injection
from scenario_runner.errors import ScenarioRunnerError, TargetRefused, TargetUnreachable
from tests.contract.servers import mute, nobody, resetting, serving

ORDER = Injection("run.step", "gpu-1", 79, "GPU-1", "run")
CALLS = {
    "gpus": lambda agent: agent.gpus("gpu-1"),
    "faults": lambda agent: agent.faults(),
    "fault": lambda agent: agent.fault("gpu-1~x"),
    "inject": lambda agent: agent.inject(ORDER),
    "recover": lambda agent: agent.recover("gpu-1~x"),
    "renew": lambda agent: agent.renew("gpu-1~x", 60.0),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
RAISED = [
    one for one in vars(httpx).values() if inspect.isclass(one) and issubclass(one, Exception)
]  # every class of exception that httpx shows
NEVER_SENT = {
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError",
    "InvalidURL",
}  # fmt: skip


def ask(call, url, *args, **options):
    with closing(HttpAgent(url, *args, **options)) as agent:
        return call(agent)


def refusing(status, code="", message="", node=None):
    error = {"code": code, "message": message, "node": node}
    return serving(lambda request: request.reply(status, {"error": error}))


@every_call
def test_where_nobody_listens_nothing_was_sent(call):
    with nobody() as url, pytest.raises(TargetUnreachable) as caught:
        ask(call, url)
    assert not caught.value.sent
    assert str(caught.value).endswith(
        f"the fault agents' gateway at {url} is not reachable (Connection refused); is it running?"
    )


@every_call
def test_where_nobody_answers_it_may_have_been_done_all_the_same(call):
    with mute() as url, pytest.raises(TargetUnreachable) as caught:
        ask(call, url, timeout=0.1)
    assert caught.value.sent
    assert str(caught.value).endswith(f"the fault agents' gateway at {url} did not answer within 0.1s")


@every_call
def test_a_connection_that_breaks_is_tried_once_more_and_then_told(call):
    with resetting() as url, pytest.raises(TargetUnreachable) as caught:
        ask(call, url)
    assert caught.value.sent
    assert f"the connection to the fault agents' gateway at {url} broke off" in str(caught.value)


@every_call
def test_a_wrong_token_has_its_own_sentence(call):
    with refusing(401, "unauthorized", "no") as url, pytest.raises(TargetRefused) as caught:
        ask(call, url, "wrong")
    assert caught.value.code == "unauthorized"
    assert str(caught.value).endswith(
        f"the fault agents' gateway at {url} does not accept our token; is it the token of this cluster's agents?"
    )


def test_the_real_gateway_refuses_a_wrong_token_too(gateway_url):
    with pytest.raises(TargetRefused) as caught:
        ask(lambda agent: agent.faults(), gateway_url, "wrong")
    assert caught.value.code == "unauthorized"


@every_call
@pytest.mark.parametrize("raised", RAISED, ids=[one.__name__ for one in RAISED])
def test_no_error_of_the_http_client_gets_through(call, raised):
    def fail(request):
        if raised is httpx.HTTPStatusError:
            raise raised("no", request=request, response=httpx.Response(500))
        raise raised(*(["no"] if raised not in {httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead,
                                                httpx.RequestNotRead} else []))  # fmt: skip

    with pytest.raises(TargetUnreachable) as caught:
        ask(call, "http://agents", transport=httpx.MockTransport(fail))
    assert caught.value.sent == (raised.__name__ not in NEVER_SENT)
    assert isinstance(caught.value.__cause__, raised)


def test_a_refusal_names_the_node_and_its_reason():
    with (
        refusing(404, "gpu_not_found", "gpu-1 has no GPU 9; it has 0, 1", "gpu-1") as url,
        pytest.raises(TargetRefused) as caught,
    ):
        ask(lambda agent: agent.inject(ORDER), url)
    assert caught.value.code == "gpu_not_found"
    assert str(caught.value) == (
        "cannot inject XID 79 on gpu-1: the fault agent of gpu-1 refuses: gpu-1 has no GPU 9; it has 0, 1"
    )


def test_a_refusal_of_the_gateway_itself_names_the_gateway():
    with (
        refusing(404, "node_not_found", "there is no node gpu-8; there are gpu-1, gpu-2") as url,
        pytest.raises(TargetRefused) as caught,
    ):
        ask(lambda agent: agent.gpus("gpu-8"), url)
    assert str(caught.value) == (
        f"cannot list the GPUs of gpu-8: the fault agents' gateway at {url} refuses:"
        " there is no node gpu-8; there are gpu-1, gpu-2"
    )


@pytest.mark.parametrize("status", [502, 504])
def test_a_node_behind_the_gateway_that_does_not_answer_is_unreachable_and_may_have_done_it(status):
    with (
        refusing(status, "node_unreachable", "gpu-1 did not answer", "gpu-1") as url,
        pytest.raises(TargetUnreachable) as caught,
    ):
        ask(lambda agent: agent.inject(ORDER), url)
    assert (caught.value.sent, str(caught.value)) == (True, "cannot inject XID 79 on gpu-1: gpu-1 did not answer")


def test_a_kernel_log_that_can_not_be_written_is_a_refusal():
    with (
        refusing(503, "kernel_log_not_writable", "/dev/kmsg: permission denied", "gpu-1") as url,
        pytest.raises(TargetRefused) as caught,
    ):
        ask(lambda agent: agent.inject(ORDER), url)
    assert caught.value.code == "kernel_log_not_writable"


@every_call
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (500, "<html>oops</html>", TargetUnreachable, None),
        (404, "<html>not here</html>", TargetRefused, "http_404"),
        (200, "hello", TargetUnreachable, None),
        (200, "[]", TargetUnreachable, None),
        (200, "{}", TargetUnreachable, None),
        (302, "", TargetRefused, "http_302"),
    ],
)
def test_what_is_no_agent_is_recognised(call, status, body, kind, code):
    with serving(lambda request: request.reply(status, body)) as url, pytest.raises(kind) as caught:
        ask(call, url)
    assert getattr(caught.value, "code", None) == code
    assert isinstance(caught.value, ScenarioRunnerError)


def test_a_connection_that_was_closed_while_idle_costs_nothing():
    seen = []

    def answer(request):
        seen.append(request.path)
        if len(seen) == 2:
            request.cut()
        else:
            request.reply(200, {"faults": [], "unreachable": []})

    with serving(answer) as url:
        ask(lambda agent: (agent.faults(), agent.faults()), url)
    assert len(seen) == 3


def test_an_injection_always_carries_its_key_so_that_it_may_be_sent_twice():
    keys = []

    def answer(request):
        keys.append(request.headers["Idempotency-Key"])
        request.cut()

    with serving(answer) as url, pytest.raises(TargetUnreachable):
        ask(lambda agent: agent.inject(ORDER), url)
    assert keys == ["run.step", "run.step"]


def test_no_request_waits_longer_than_five_seconds():
    with mute() as url, pytest.raises(TargetUnreachable, match="did not answer within 5s"):
        ask(lambda agent: agent.faults(), url, timeout=60.0)
