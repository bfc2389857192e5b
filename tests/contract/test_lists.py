"""Lists of large clusters come page by page, and only what is asked for."""

import queue
import threading
from contextlib import closing
from urllib.parse import parse_qsl, urlsplit

import pytest

from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.core.ports import Watch
from scenario_runner.errors import TargetRefused
from tests.contract.clusters import write_kubeconfig
from tests.contract.servers import serving

PATIENCE = 20.0  # seconds; only a broken adapter needs them


class Book:
    """A list of three nodes, one on each page; `asked` are the queries."""

    def __init__(self):
        self.asked = []
        self.torn = False  # the third page is not there any more
        self.watched = threading.Event()

    def __call__(self, request):
        query = dict(parse_qsl(urlsplit(request.path).query))
        self.asked.append(query)
        if "watch" in query:
            self.watched.set()
            request.begin_stream()
            request.wfile.write(b"0\r\n\r\n")
            return
        page = int(query.get("continue", "1"))
        if self.torn and page == 3:
            request.reply(410, {"kind": "Status", "reason": "Expired", "message": "too old"})
            return
        metadata = {"resourceVersion": "7"} | ({"continue": str(page + 1)} if page < 3 else {})
        node = {"metadata": {"name": f"gpu-{page}", "uid": f"uid-{page}", "resourceVersion": "5"}}
        request.reply(200, {"kind": "NodeList", "metadata": metadata, "items": [node]})


@pytest.fixture
def book():
    return Book()


@pytest.fixture
def cluster(tmp_path, book):
    with serving(book) as url, closing(KubernetesCluster(write_kubeconfig(tmp_path, url))) as made:
        yield made


def test_a_list_is_read_page_by_page(cluster, book):
    assert [one.name for one in cluster.nodes("pool=a")] == ["gpu-1", "gpu-2", "gpu-3"]
    assert book.asked == [
        {"labelSelector": "pool=a", "limit": "500"},
        {"labelSelector": "pool=a", "limit": "500", "continue": "2"},
        {"labelSelector": "pool=a", "limit": "500", "continue": "3"},
    ]


def test_a_list_whose_pages_the_server_has_forgotten_is_refused_and_never_half(cluster, book):
    book.torn = True
    with pytest.raises(TargetRefused, match="too old") as refused:
        cluster.nodes()
    assert refused.value.code == "Expired"


def test_a_watch_begins_where_its_last_page_ends(cluster, book):
    told = queue.Queue()
    subscription = cluster.follow(Watch("nodes", selector="pool=a", name="gpu-1"), told.put)
    with closing(subscription):
        seen = [told.get(timeout=PATIENCE) for _ in range(4)]
        assert book.watched.wait(PATIENCE)
    assert [(one.kind, one.state.name if one.state else "") for one in seen] == [
        ("state", "gpu-1"), ("state", "gpu-2"), ("state", "gpu-3"), ("synced", ""),
    ]  # fmt: skip
    chosen = {"labelSelector": "pool=a", "fieldSelector": "metadata.name=gpu-1"}
    assert [one.get("continue") for one in book.asked[:3]] == [None, "2", "3"]
    assert all(chosen.items() <= one.items() for one in book.asked)
    assert book.asked[3]["resourceVersion"] == "7"
