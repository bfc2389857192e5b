"""How the fault agents of a cluster are found, and what is told when they are not."""

import base64
import json
from contextlib import closing

import pytest

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.app.agents import find_agent
from scenario_runner.app.place import AgentWish
from scenario_runner.core.ports import Injection
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable
from tests.app.small_api import SmallApi, service, status
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import serving
from tests.fakes import FakeClock

SERVICES = "/api/v1/namespaces/scenario-runner/services"
SECRETS = "/api/v1/namespaces/scenario-runner/secrets"
PROXY = f"{SERVICES}/https:fault-agent:8443/proxy"
SELECTOR = "app.kubernetes.io/name=fault-agent,app.kubernetes.io/component=gateway"
NO_WISH = AgentWish()
INJECTION = Injection("drill-01", "gpu-1", 79, "GPU-1", "run")


def secret(**data):
    return {"data": {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def chart(*names):
    """What the chart leaves in the API server."""
    objects = {SERVICES: {"items": [service(name, "scenario-runner", 8443) for name in names]}}
    objects[f"{SECRETS}/fault-agent-token"] = secret(token="a secret\n")
    return objects


@pytest.fixture
def found(tmp_path):
    """What is found in a cluster, and the API server that was asked."""

    def found(api, wish=NO_WISH, *, inside=False, use=lambda agent: agent.faults()):
        with serving(api) as url:
            it = KubernetesCluster(write_kubeconfig(tmp_path, url), clock=FakeClock())
            with closing(it):
                agents = find_agent(it, wish, inside=inside)
                try:
                    return agents.words, use(agents.agent)
                except (TargetUnreachable, TargetRefused) as error:
                    return agents.words, error
                finally:
                    if isinstance(agents.agent, HttpAgent):
                        agents.agent.close()

    return found


def test_agents_are_asked_through_the_api_server_with_the_token_of_their_chart(found):
    heard = []

    def behind(request):
        heard.append((request.path, request.headers["X-Fault-Agent-Token"], request.headers["Authorization"]))
        request.reply(200, {"faults": [], "unreachable": ["x"][:0]})

    words, faults = found(SmallApi(chart("fault-agent"), behind=behind))
    assert words == "fault agents at scenario-runner/fault-agent:8443 through the API server's proxy"
    assert faults.unreachable == ()
    assert heard == [(f"{PROXY}/api/v1/faults", "a secret", None)]


def test_an_injection_goes_through_with_its_name_and_its_body(found):
    heard = []

    def behind(request):
        heard.append(
            (request.command, request.path, request.headers["Idempotency-Key"], json.loads(request.body)["run"])
        )
        request.reply(201, {"fault_id": "gpu-1~drill-01", "status": "active", "xid": 79})

    _, record = found(SmallApi(chart("fault-agent"), behind=behind), use=lambda agent: agent.inject(INJECTION))
    assert record.fault_id == "gpu-1~drill-01"
    assert heard == [("POST", f"{PROXY}/api/v1/faults/gpu/inject/xid-79", "drill-01", "run")]


def test_a_refusal_of_the_agents_is_told_as_theirs(found):
    error = {"error": {"code": "gpu_not_found", "message": "there is no GPU 7", "node": "gpu-1"}}
    api = SmallApi(chart("fault-agent"), behind=lambda request: request.reply(404, error))
    _, refusal = found(api, use=lambda agent: agent.gpus("gpu-1"))
    assert isinstance(refusal, TargetRefused)
    assert str(refusal) == "cannot list the GPUs of gpu-1: the fault agent of gpu-1 refuses: there is no GPU 7"


@pytest.mark.parametrize(
    ("answer", "sent", "says"),
    [
        (
            status(503, "ServiceUnavailable", 'no endpoints available for service "fault-agent"'),
            False,
            'is not reachable (the API server says: no endpoints available for service "fault-agent"); is it running?',
        ),
        (
            status(503, "ServiceUnavailable", "error trying to reach service: EOF"),
            True,
            "broke off (the API server says: error trying to reach service: EOF)",
        ),
        (
            status(403, "Forbidden", "services is forbidden"),
            False,
            "is not reachable (the API server says: services is forbidden); is it running?",
        ),
    ],
)
def test_what_the_api_server_says_itself_is_not_taken_for_the_agents(found, answer, sent, says):
    api = SmallApi(chart("fault-agent"), behind=lambda request: request.reply(answer["code"], answer))
    _, trouble = found(api)
    assert isinstance(trouble, TargetUnreachable)
    assert trouble.sent is sent
    assert str(trouble).endswith(says)


def test_a_cluster_without_agents_is_told_when_one_is_needed(found):
    words, trouble = found(SmallApi({SERVICES: {"items": []}}))
    why = (
        f"there is no fault agent in namespace scenario-runner (no service with {SELECTOR}): "
        "install its Helm chart, or say where it is with --agent"
    )
    assert (words, str(trouble)) == (f"no fault agents: {why}", f"cannot list the faults: {why}")


def test_of_several_agents_one_has_to_be_named(found):
    words, _ = found(SmallApi(chart("fault-agent", "other")))
    assert words == (
        "no fault agents: there are several fault agents: say with --agent which one of "
        "scenario-runner/fault-agent, scenario-runner/other"
    )
    words, _ = found(SmallApi(chart("fault-agent", "other")), AgentWish("scenario-runner/fault-agent"))
    assert words == "fault agents at scenario-runner/fault-agent:8443 through the API server's proxy"


def test_a_token_that_may_not_be_read_has_to_be_given(found, tmp_path):
    objects = chart("fault-agent")
    objects[f"{SECRETS}/fault-agent-token"] = status(403, "Forbidden", "secrets is forbidden")
    words, _ = found(SmallApi(objects))
    assert words == (
        "no fault agents: Secret scenario-runner/fault-agent-token of the fault agents may not be read by us: "
        "give its token with --agent-token-file"
    )
    (tmp_path / "token").write_text("mine\n")
    words, _ = found(SmallApi(objects), AgentWish(token_file=tmp_path / "token"))
    assert words == "fault agents at scenario-runner/fault-agent:8443 through the API server's proxy"


def test_a_token_that_does_not_exist_is_told(found):
    objects = chart("fault-agent")
    del objects[f"{SECRETS}/fault-agent-token"]
    words, _ = found(SmallApi(objects))
    assert words == (
        "no fault agents: there is no Secret scenario-runner/fault-agent-token with token: "
        "give it with --agent-token-file"
    )


def test_inside_the_cluster_the_authority_of_the_agents_is_needed(found):
    words, _ = found(SmallApi(chart("fault-agent")), inside=True)
    assert words == (
        "no fault agents: there is no Secret scenario-runner/fault-agent-tls with ca.crt: give it with --agent-ca"
    )


def test_an_address_of_the_command_line_is_taken_as_it_is(found, tmp_path):
    (tmp_path / "token").write_text("mine\n")
    heard = []

    def agents(request):
        heard.append(request.headers["Authorization"])
        request.reply(200, {"faults": [], "unreachable": []})

    with serving(agents) as url:
        words, _ = found(SmallApi(), AgentWish(url, tmp_path / "token"))
    assert (words, heard) == (f"fault agents at {url}", ["Bearer mine"])


def test_files_of_the_command_line_that_cannot_be_used_are_refused(found, tmp_path):
    with pytest.raises(Refused) as caught:
        found(SmallApi(), AgentWish("https://x", tmp_path / "none"))
    assert str(caught.value) == (
        f"the token of the fault agents in {tmp_path / 'none'} cannot be read: No such file or directory"
    )
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(Refused) as caught:
        found(SmallApi(), AgentWish("https://x", authority=tmp_path / "ca"))
    assert str(caught.value).startswith(
        f"the authority of the agents' certificate in {tmp_path / 'ca'} cannot be used: "
    )
