"""How the measurement of scale counts requests, and what it prints."""

import dataclasses

from tests.bench.labs import Weight
from tests.bench.scale.__main__ import Measured, failures, report
from tests.bench.scale.audit import Request, most_asked_list, requests
from tests.bench.scale.scene import Ended


def entry(number, verb, uri, stage="ResponseComplete", **about):
    return {"auditID": str(number), "verb": verb, "requestURI": uri, "stage": stage, "objectRef": about}


def test_a_request_with_two_entries_is_one():
    watch = ("watch", "/api/v1/nodes?fieldSelector=metadata.name%3Dgpu-1&watch=true")
    found = list(
        requests(
            [
                entry(1, *watch, "ResponseStarted", resource="nodes"),
                entry(2, "get", "/api/v1/namespaces/a/pods/p/log", resource="pods", subresource="log", namespace="a"),
                entry(1, *watch, resource="nodes"),
            ]
        )
    )
    assert [one.what for one in found] == ["watch nodes of all by fields", "get pods/log"]


def test_a_list_says_how_it_chooses_and_the_pages_of_one_namespace_count_together():
    pods = [Request("list", "pods", "dynamo", "/pods", labels="app=a") for _ in range(3)]
    other = Request("list", "pods", "dynamo", "/pods", labels="app=b")
    assert other.what == "list pods of one namespace by labels"
    assert most_asked_list([other, *pods]) == ("list pods of one namespace by labels dynamo app=a", 3)
    assert most_asked_list([]) == ("none", 0)


def measured(nodes, calls, code=0):
    found = tuple(Request("get", "nodes", "", "/nodes") for _ in range(calls))
    proxied = Request("create", "services/proxy", "dynamo", "/proxy")
    return Measured(nodes, 1.5, Ended(60.0, code, "", 102_400, Weight(112_640, 2)), (*found, proxied))


def test_the_report_has_figures_growth_and_calls_and_says_when_no_drill_passed():
    lines = report([measured(10, 100), measured(1000, 160, code=3)]).splitlines()
    told = {line[: line.index("  ")]: line.split("  ", 1)[1].split() for line in lines if "  " in line}
    assert told["10 nodes, 100 pods: API calls of a drill"][0] == "100"
    assert told["10 nodes, 100 pods: memory of the runner, peak RSS"][:2] == ["100", "MiB"]
    assert told["1000 nodes, 10000 pods: API calls of a drill"][-3:] == ["NOT", "PASSED", "(3)"]
    assert told["growth from 10 to 1000 nodes: API calls"][-2:] == ["misses", "it"]
    assert told["get nodes"] == ["100", "160"]
    assert told["create services/proxy"] == ["1", "1"]


def test_what_fits_its_limits_is_no_failure():
    assert failures([measured(10, 100), measured(1000, 120)]) == []


def test_a_drill_that_never_passed_calls_that_grow_and_lists_that_are_polled_fail_it():
    polled = [Request("list", "pods", "dynamo", "/pods", labels="app=a")] * 40
    many = measured(1000, 420, code=3)
    found = [measured(10, 100), dataclasses.replace(many, requests=(*many.requests, *polled))]
    assert failures(found) == [
        "1000 nodes: no drill of 3 passed, the last one ended with 3.",
        "1000 nodes: `list pods of one namespace by labels dynamo app=a` was asked 40 times, more than 12: "
        "it is polled.",
        "1000 nodes: a drill took 460 API calls, more than 400.",
        "API calls grow 4.60 times from 10 to 1000 nodes.",
    ]
