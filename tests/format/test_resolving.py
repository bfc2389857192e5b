"""What declared targets stand for, and what is said when they stand for nothing or for too much."""

import pytest

from scenario_runner.core.states import ServiceState
from scenario_runner.core.targets import (
    ChatPrompt,
    EndpointTarget,
    GpuTarget,
    NodesTarget,
    NodeTarget,
    PodTarget,
    WorkloadTarget,
)
from scenario_runner.errors import Refused, TargetRefused, TargetUnreachable
from scenario_runner.format.resolve import resolve
from tests.format.cluster import pod, small_cluster
from tests.format.files import scenario

ONE, TWO, THREE = (NodeTarget(f"gpu-{at}", f"uid-gpu-{at}") for at in (1, 2, 3))


def resolved(folder, text, world=None, seed=0):
    """Resolved targets by name; `text` is what stands below `targets:`."""
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    read = scenario(folder, f"namespace: dynamo\ntargets:\n{lines}steps: [pause: 5s]\n")
    cluster, agent = world or small_cluster()
    return {one.name: one for one in resolve(read.targets, "dynamo", cluster, agent, seed)}


WORKLOAD = "worker: {workload: deployment/w}\n"


@pytest.mark.parametrize(
    ("declared", "target", "words", "also"),
    [
        ("{node: gpu-2}", TWO, "gpu-2", ()),
        ("{node: {selector: nvidia.com/gpu.present=true}}", ONE, "gpu-1", ("gpu-2", "gpu-3")),
        ("{nodes: {selector: nvidia.com/gpu.present=true}}", NodesTarget((ONE, TWO, THREE)), "gpu-1, gpu-2, gpu-3", ()),
        (
            "{nodes: {selector: nvidia.com/gpu.present=true, pick: first}}",
            NodesTarget((ONE,)),
            "gpu-1",
            ("gpu-2", "gpu-3"),
        ),
        ("{node_of: worker}", TWO, "gpu-2, runs w-a", ("gpu-1, runs w-b", "gpu-3, runs w-c")),
        ("{node_of: {selector: app=w}}", TWO, "gpu-2, runs w-a", ("gpu-1, runs w-b", "gpu-3, runs w-c")),
        (
            "{gpu_of: worker}",
            GpuTarget(TWO, 1, "GPU-21", "4001:21:00", "dynamo/w-a", "worker"),
            "GPU 1 of gpu-2, held by w-a",
            ("GPU 1 of gpu-1, held by w-b", "GPU 1 of gpu-3, held by w-c"),
        ),
        (
            "{gpu_of: {workload: worker, index: 1, pick: first}}",
            GpuTarget(TWO, 1, "GPU-21", "4001:21:00", "dynamo/w-a", "worker"),
            "GPU 1 of gpu-2, held by w-a",
            ("GPU 1 of gpu-1, held by w-b", "GPU 1 of gpu-3, held by w-c"),
        ),
        (
            "{gpu_of: {node: first}}",
            GpuTarget(ONE, 0, "GPU-10", "4001:10:00"),
            "GPU 0 of gpu-1",
            ("GPU 1 of gpu-1, held by w-b",),
        ),
        (
            "{gpu_of: {node: first, index: 1}}",
            GpuTarget(ONE, 1, "GPU-11", "4001:11:00"),
            "GPU 1 of gpu-1, held by w-b",
            (),
        ),
        (
            "{gpu: {node: gpu-3, index: 1}}",
            GpuTarget(THREE, 1, "GPU-31", "4001:31:00"),
            "GPU 1 of gpu-3, held by w-c",
            (),
        ),
        ("{pod: w-b}", PodTarget("dynamo", "w-b", "uid-w-b", "gpu-1"), "dynamo/w-b on gpu-1", ()),
        (
            "{pod: {workload: worker}}",
            PodTarget("dynamo", "w-a", "uid-w-a", "gpu-2"),
            "dynamo/w-a on gpu-2",
            ("gpu-1, runs w-b", "gpu-3, runs w-c"),
        ),
        (
            "{workload: deployment/w}",
            WorkloadTarget("deployment", "dynamo", "w", "uid", "app=w", 3),
            "dynamo/deployment/w, 3 pods wanted",
            (),
        ),
        (
            "{service: front, path: /health, expect_status: [204]}",
            EndpointTarget(
                "http://127.0.0.9:8000", "GET", "/health", expect_status=(204,), service="dynamo/front:8000"
            ),
            "dynamo/front:8000 at http://127.0.0.9:8000",
            (),
        ),
        (
            "{service: front, port: http, chat: {max_tokens: 10}}",
            EndpointTarget(
                "http://127.0.0.9:8000",
                "POST",
                "/v1/chat/completions",
                chat=ChatPrompt("chat", "auto", "hello", 10, stream=False),
                service="dynamo/front:8000",
            ),
            "dynamo/front:8000 at http://127.0.0.9:8000",
            (),
        ),
        ("{url: 'http://127.0.0.1:9/'}", EndpointTarget("http://127.0.0.1:9"), "http://127.0.0.1:9", ()),
    ],
)
def test_a_target_stands_for(tmp_path, declared, target, words, also):
    found = resolved(tmp_path, f"{WORKLOAD}first: {{node: gpu-1}}\nit: {declared}\n")["it"]
    assert (found.target, found.chosen, found.also) == (target, words, also)


def test_headers_of_an_endpoint_are_not_printed(tmp_path):
    found = resolved(tmp_path, "it: {url: 'http://127.0.0.1:9', headers: {Authorization: Bearer abc}}\n")["it"]
    assert found.declared == "{url: http://127.0.0.1:9, headers: {Authorization: ...}}"


def test_a_random_pick_depends_on_the_seed_alone(tmp_path):
    text = WORKLOAD + "victim: {gpu_of: worker, pick: random}\n"
    picks = {seed: resolved(tmp_path, text, seed=seed)["victim"].chosen for seed in range(20)}
    assert {seed: resolved(tmp_path, text, seed=seed)["victim"].chosen for seed in range(20)} == picks
    assert set(picks.values()) == {f"GPU 1 of {on}, held by {name}" for name, on in
                                   (("w-a", "gpu-2"), ("w-b", "gpu-1"), ("w-c", "gpu-3"))}  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ("{node: gpu-9}", "there is no node gpu-9; the nodes are gpu-1, gpu-2, gpu-3"),
        ("{node: {selector: disk=ssd}}", "no node has disk=ssd; the nodes are gpu-1, gpu-2, gpu-3"),
        (
            "{node: {selector: nvidia.com/gpu.present=true, pick: only}}",
            "pick is only, and 3 match: gpu-1, gpu-2, gpu-3; be more precise, or write pick: first",
        ),
        (
            "{gpu_of: worker, pick: only}",
            "pick is only, and 3 match: GPU 1 of gpu-2, held by w-a, GPU 1 of gpu-1, held by w-b, "
            "GPU 1 of gpu-3, held by w-c; be more precise, or write pick: first",
        ),
        (
            "{gpu_of: {workload: worker, index: 0}}",
            "the fault agents know no pod of worker that holds GPU 0 of its node; "
            "there is w-a on gpu-2, w-b on gpu-1, w-c on gpu-3",
        ),
        ("{gpu: {node: gpu-1, index: 7}}", "gpu-1 has no GPU 7; it has 0 (GPU-10, 4001:10:00), 1 (GPU-11, 4001:11:00)"),
        (
            "{workload: statefulset/w}",
            "there is no statefulset/w in namespace dynamo; the workloads are deployment/w",
        ),
        ("{pod: w-z}", "there is no pod w-z in namespace dynamo; the pods are w-a, w-b, w-c"),
        ("{pod: {selector: app=none}}", "no pod with app=none in namespace dynamo runs on a node"),
        ("{service: back}", "there is no service back in namespace dynamo; the services are front"),
        ("{service: front, port: 80}", "service front has no port 80; the ports are 8000 (http)"),
        ("{service: front, namespace: other}", "there is no service front in namespace other; there are no services"),
    ],
)
def test_a_target_that_matches_nothing_or_too_much_is_refused(tmp_path, declared, told):
    with pytest.raises(Refused) as caught:
        resolved(tmp_path, f"{WORKLOAD}it: {declared}\n")
    assert str(caught.value) == f"target it: {told}"


def test_every_target_that_fails_is_told(tmp_path):
    with pytest.raises(Refused) as caught:
        resolved(tmp_path, "a: {node: x}\nb: {node: y}\n")
    assert str(caught.value).splitlines() == [
        "target a: there is no node x; the nodes are gpu-1, gpu-2, gpu-3",
        "target b: there is no node y; the nodes are gpu-1, gpu-2, gpu-3",
    ]


def test_a_node_without_agent_is_told(tmp_path):
    cluster, agent = small_cluster()
    del agent.nodes["gpu-2"]
    with pytest.raises(Refused) as caught:
        resolved(tmp_path, WORKLOAD + "victim: {gpu_of: worker}\n", (cluster, agent))
    assert str(caught.value) == "target victim: node gpu-2 has no fault agent"


def test_an_agent_that_does_not_answer_is_no_refusal_of_the_target(tmp_path):
    cluster, agent = small_cluster()
    agent.unreachable["gpu-1"] = "connection refused"
    with pytest.raises(TargetUnreachable, match="the agent of gpu-1 is not reachable: connection refused"):
        resolved(tmp_path, "victim: {gpu: {node: gpu-1}}\n", (cluster, agent))


def test_a_cluster_that_does_not_answer_is_told(tmp_path):
    cluster, agent = small_cluster()
    cluster.unreachable = "connection refused"
    with pytest.raises(TargetUnreachable, match="the API server is not reachable: connection refused"):
        resolved(tmp_path, "it: {node: gpu-1}\n", (cluster, agent))


def test_a_wrong_token_is_told_as_the_agent_says_it(tmp_path):
    class Stern:
        def gpus(self, name):
            raise TargetRefused(f"cannot list the GPUs of {name}: token not accepted", code="unauthorized")

    with pytest.raises(TargetRefused, match="cannot list the GPUs of gpu-1: token not accepted"):
        resolved(tmp_path, "it: {gpu: {node: gpu-1}}\n", (small_cluster()[0], Stern()))


def test_a_pod_on_its_way_out_is_never_chosen(tmp_path):
    cluster, agent = small_cluster()
    cluster.put(pod("w-a", "gpu-2", deleting=True))
    found = resolved(tmp_path, WORKLOAD + "victim: {gpu_of: worker}\n", (cluster, agent))
    assert (found["victim"].chosen, found["victim"].also) == (
        "GPU 1 of gpu-1, held by w-b",
        ("GPU 1 of gpu-3, held by w-c",),
    )


def test_a_service_with_several_ports_needs_one(tmp_path):
    cluster, agent = small_cluster()
    cluster.service_states["dynamo", "front"] = ServiceState("dynamo", "front", "127.0.0.9", {"a": 1, "b": 2})
    with pytest.raises(Refused, match=r"target it: say which port of service front; the ports are 1 \(a\), 2 \(b\)"):
        resolved(tmp_path, "it: {service: front}\n", (cluster, agent))
