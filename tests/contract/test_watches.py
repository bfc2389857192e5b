"""What a watch makes of a server that cuts, forgets, falls silent or goes away."""

import queue
import threading
from contextlib import closing, contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.ports import Watch
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import mute, serving

PATIENCE = 20.0  # seconds; only a broken adapter needs them


def node(name, version, *, cordoned=False):
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": version}
    return {"kind": "Node", "metadata": metadata, "spec": {"unschedulable": cordoned}}


class Script:
    """Answers each list and each watch with the next part of a script; the last one repeats."""

    def __init__(self, lists, watches):
        self.asked = []
        self.over = threading.Event()
        self._lists = iter(lists)
        self._watches = iter(watches)

    def __call__(self, request):
        query = parse_qs(urlsplit(request.path).query)
        if "watch" not in query:
            self.asked.append("list")
            version, items = next(self._lists)
            request.reply(200, {"kind": "NodeList", "metadata": {"resourceVersion": version}, "items": items})
            return
        self.asked.append(f"watch from {query['resourceVersion'][0]}")
        act = next(self._watches, None)
        if act is None:
            act = self.hold
        act(request)

    def hold(self, request):
        """Say nothing until the test is over."""
        request.begin_stream()
        request.wfile.flush()
        self.over.wait(PATIENCE)


def says(*events):
    def act(request):
        request.begin_stream()
        for kind, body in events:
            request.piece({"type": kind, "object": body})
        request.wfile.write(b"0\r\n\r\n")

    return act


def cuts_after(*events):
    def act(request):
        request.begin_stream()
        for kind, body in events:
            request.piece({"type": kind, "object": body})
        request.cut()

    return act


@contextmanager
def following(tmp_path, script, silence=PATIENCE):
    """What a watch of nodes tells, one message after the other."""
    told = queue.Queue()
    with (
        serving(script) as url,
        closing(KubernetesCluster(write_kubeconfig(tmp_path, url), silence=silence)) as cluster,
    ):
        subscription = cluster.follow(Watch("nodes"), told.put)
        try:
            yield lambda: words(told.get(timeout=PATIENCE))
        finally:
            script.over.set()
            subscription.close()


def words(seen):
    if seen.state is None:
        return (seen.kind, seen.detail) if seen.detail else seen.kind
    return seen.kind, seen.state.name, "cordoned" if seen.state.unschedulable else "free"


def test_a_connection_that_is_cut_goes_on_from_where_it_was_without_a_gap(tmp_path):
    script = Script(
        [("5", [node("gpu-1", "3")])],
        [cuts_after(("MODIFIED", node("gpu-1", "7", cordoned=True))), says(("MODIFIED", node("gpu-1", "9")))],
    )
    with following(tmp_path, script) as told:
        assert [told() for _ in range(4)] == [
            ("state", "gpu-1", "free"),
            "synced",
            ("state", "gpu-1", "cordoned"),
            ("state", "gpu-1", "free"),
        ]
    assert script.asked[:3] == ["list", "watch from 5", "watch from 7"]


def test_a_bookmark_moves_the_place_from_which_a_watch_goes_on(tmp_path):
    bookmark = ("BOOKMARK", {"kind": "Node", "metadata": {"resourceVersion": "50"}})
    script = Script([("5", [])], [says(bookmark), says(("ADDED", node("gpu-2", "51")))])
    with following(tmp_path, script) as told:
        assert [told(), told()] == ["synced", ("state", "gpu-2", "free")]
    assert script.asked[:3] == ["list", "watch from 5", "watch from 50"]


@pytest.mark.parametrize("how", ["in the stream", "as a status"])
def test_a_server_that_has_forgotten_is_asked_for_a_new_list_and_what_vanished_is_told(tmp_path, how):
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    forgotten = says(("ERROR", status)) if how == "in the stream" else (lambda request: request.reply(410, status))
    script = Script(
        [("5", [node("gpu-1", "3"), node("gpu-2", "4")]), ("90", [node("gpu-2", "80", cordoned=True)])], [forgotten]
    )
    with following(tmp_path, script) as told:
        assert [told() for _ in range(7)] == [
            ("state", "gpu-1", "free"),
            ("state", "gpu-2", "free"),
            "synced",
            ("gap", "lost: the API server has forgotten the last state that we saw"),
            ("gone", "gpu-1", "free"),
            ("state", "gpu-2", "cordoned"),
            ("gap", "found again"),
        ]
    assert script.asked[:4] == ["list", "watch from 5", "list", "watch from 90"]


def test_a_server_that_falls_silent_is_asked_for_a_new_list(tmp_path):
    script = Script([("5", []), ("6", [node("gpu-1", "6")]), ("7", [])], [])
    with following(tmp_path, script, silence=0.2) as told:
        assert [told() for _ in range(3)] == [
            "synced",
            ("gap", "lost: nothing was heard from the API server for 0.2s"),
            ("state", "gpu-1", "free"),
        ]


def test_a_server_in_trouble_is_a_gap_until_it_is_found_again(tmp_path):
    trouble = lambda request: request.reply(503, {"reason": "Trouble", "message": "not now"})  # noqa: E731
    script = Script([("5", [])], [trouble, says(("ADDED", node("gpu-1", "6")))])
    with following(tmp_path, script) as told:
        kind, lost = (told(), told())[1]
        assert (kind, lost.startswith("lost: the API server at "), lost.endswith(": not now")) == ("gap", True, True)
        assert [told(), told()] == [("gap", "found again"), ("state", "gpu-1", "free")]


def test_a_server_that_never_answers_is_a_gap_and_the_watch_can_still_be_closed(tmp_path):
    told = queue.Queue()
    with mute() as url, closing(KubernetesCluster(write_kubeconfig(tmp_path, url), timeout=0.2)) as cluster:
        subscription = cluster.follow(Watch("nodes"), told.put)
        assert words(told.get(timeout=PATIENCE)) == ("gap", f"lost: the API server at {url} did not answer within 0.2s")
        subscription.close()


def test_an_object_that_makes_no_sense_is_a_gap_and_not_the_end(tmp_path):
    broken = {"kind": "Node", "metadata": {"uid": "u", "resourceVersion": "6"}}
    script = Script([("5", [])], [says(("ADDED", broken)), says(("ADDED", node("gpu-1", "7")))])
    with following(tmp_path, script) as told:
        assert [told() for _ in range(4)] == [
            "synced",
            ("gap", "lost: the API server sent one of nodes without its 'name'"),
            ("gap", "found again"),
            ("state", "gpu-1", "free"),
        ]
