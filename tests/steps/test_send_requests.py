"""Sending: orders made of targets, what is waited for and what is judged."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from scenario_runner.core.outcome import Phase
from scenario_runner.core.targets import ChatPrompt, EndpointTarget
from tests.fakes import plan_of
from tests.steps.entry import entry, step_of
from tests.steps.running import carry_out, last, outcome

CHAT = ChatPrompt("chat", "auto", "hello", 10, stream=False)


def test_the_step_lasts_until_every_request_has_ended(world):
    world.loads.answer = lambda at: (3.0, "")
    report = carry_out(world, "- send_requests: {target: frontend, rate: 10/s, for: 2s}\n- pause: 1s")
    assert outcome(report, "send_requests") == ("passed", "20 of 20 requests of send_requests (100.0 %) succeeded")
    assert 4.9 <= report.outcomes[0].seconds <= 5.5


def test_requests_without_an_end_need_the_background(world):
    assert last(carry_out(world, "- send_requests: {target: frontend, rate: 10/s}")) == (
        "broken", "requests without `for` or `count` never end: add `background: true` and a later `join`",
    )  # fmt: skip
    assert world.loads.started == []
    assert step_of("send_requests", {"target": "frontend", "rate": "10/s"}).endless()


def test_failures_alone_are_not_judged_among_the_steps(world):
    world.loads.answer = lambda at: (0.1, "" if at < 1 else "status 503")
    assert last(carry_out(world, "- send_requests: {target: frontend, count: 40, every: 50ms}")) == (
        "passed", "20 of 40 requests of send_requests (50.0 %) succeeded; failures: status 503 20",
    )  # fmt: skip


def test_a_ratio_of_its_own_is_judged_when_all_have_ended(world):
    world.loads.answer = lambda at: (0.1, "" if at < 1 else "status 503")
    step = "- send_requests: {target: frontend, count: 40, every: 50ms, ratio: at least 0.9}"
    assert last(carry_out(world, step)) == (
        "failed",
        "20 of 40 requests of send_requests (50.0 %) succeeded, asked for at least 0.9; failures: status 503 20",
    )  # fmt: skip


@pytest.mark.parametrize("phase", [Phase.HEALTH, Phase.AFTER])
def test_before_and_after_a_drill_every_request_must_succeed(world, phase):
    world.loads.answer = lambda at: (0.1, "connection refused")
    planned = replace(entry("send_requests: {target: frontend, count: 3, every: 1s}"), phase=phase)
    report = world.run(plan_of(entry("pause: 1s"), planned, control=True))
    checks = [one for one in report.outcomes if one.step_id == "send_requests"]
    assert [(str(one.status), one.summary) for one in checks][:1] == [
        (
            "failed",
            "0 of 3 requests of send_requests (0.0 %) succeeded, asked for at least 1; failures: connection refused 3",
        ),
    ]  # fmt: skip


def test_a_background_load_is_judged_where_it_is_joined(world):
    world.loads.answer = lambda at: (0.1, "reset")
    report = carry_out(
        world,
        """
        - send_requests: {target: frontend, rate: 10/s, ratio: at least 0.5}
          id: traffic
          background: true
        - pause: 3s
        - join: traffic
        """,
    )
    assert outcome(report, "join") == ("passed", "31 requests ended, 0 succeeded; failures: reset 31")
    assert outcome(report, "traffic") == (
        "failed", "0 of 31 requests of traffic (0.0 %) succeeded, asked for at least 0.5; failures: reset 31",
    )  # fmt: skip


def test_a_load_whose_worker_died_is_broken(world):
    def die():
        world.loads.runs[0].broken = "the load worker ended with signal 9"

    world.time.after(1.0, die)
    report = carry_out(world, "- send_requests: {target: frontend, rate: 10/s, for: 2s}")
    assert (report.verdict.exit_code, last(report)) == (
        3, ("broken", "load send_requests broke: the load worker ended with signal 9"),
    )  # fmt: skip


def test_a_chat_is_asked_at_its_usual_path(world):
    target = EndpointTarget("http://127.0.0.1:8000", chat=replace(CHAT, stream=True))
    carry_out(world, "- send_requests: {target: chat, count: 1, every: 1s}", targets={"chat": target})
    (order,) = world.loads.started
    assert (order.url, order.method, order.api, order.model, order.stream) == (
        "http://127.0.0.1:8000/v1/chat/completions", "POST", "chat", "auto", True,
    )  # fmt: skip
    assert json.loads(order.body) == {"max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}


def test_completions_take_a_prompt(world):
    target = EndpointTarget("http://127.0.0.1:8000", chat=replace(CHAT, api="completions", model="tiny"))
    carry_out(world, "- send_requests: {target: x, count: 1, every: 1s, stream: true}", targets={"x": target})
    (order,) = world.loads.started
    assert (order.url, order.model, order.stream) == ("http://127.0.0.1:8000/v1/completions", "tiny", True)
    assert json.loads(order.body) == {"max_tokens": 10, "prompt": "hello"}


def test_any_other_endpoint_is_asked_as_its_target_says(world):
    target = EndpointTarget("http://127.0.0.1:8000", "PUT", "/x", {"A": "b"}, "body", (204,))
    carry_out(
        world,
        "- send_requests: {target: x, rate: 60/min, count: 2, request_timeout: 3s, max_outstanding: 7}",
        targets={"x": target},
    )
    (order,) = world.loads.started
    assert (order.url, order.method, order.headers, order.body, order.expect_status, order.api) == (
        "http://127.0.0.1:8000/x", "PUT", {"A": "b"}, b"body", (204,), "http",
    )  # fmt: skip
    assert (order.rate, order.every, order.count, order.duration) == (1.0, None, 2, None)
    assert (order.request_timeout, order.max_outstanding) == (3.0, 7)


@pytest.mark.parametrize("pace", [{}, {"rate": "1/s", "every": "1s"}])
def test_there_is_exactly_one_pace(pace):
    with pytest.raises(ValidationError, match=r"give either rate \(`5/s`\) or every \(`1s`\)"):
        step_of("send_requests", {"target": "frontend", **pace})


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        ({"rate": "5/s", "for": "100s"}, 130.0),
        ({"every": "2s", "count": 30}, 90.0),
        ({"every": "2s", "count": 30, "for": "10s"}, 40.0),
        ({"rate": "5/s"}, 0.0),
    ],
)
def test_the_plan_knows_how_long_it_takes_at_least(pace, seconds):
    assert step_of("send_requests", {"target": "frontend", **pace}).longest(0.0) == seconds
