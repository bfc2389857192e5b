"""Lists: selectors, pages, their version, tables."""

import pytest

from tests.contract.kubernetes.objects import config_map, deployment, pod
from tests.contract.kubernetes.server import Space

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
def zoo(space: Space) -> Space:
    space.made(config_map("ant", labels={"legs": "6", "size": "small"}))
    space.made(config_map("bear", labels={"legs": "4", "size": "big"}))
    space.made(config_map("cat", labels={"legs": "4"}))
    space.made(config_map("snake"))
    return space


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("legs=4", ["bear", "cat"]),
        ("legs==4,size", ["bear"]),
        ("legs!=4", ["ant", "kube-root-ca.crt", "snake"]),
        ("legs in (4,6)", ["ant", "bear", "cat"]),
        ("legs notin (4),legs", ["ant"]),
        ("!legs", ["kube-root-ca.crt", "snake"]),
        ("legs>4", ["ant"]),
        ("legs<5", ["bear", "cat"]),
        ("size in (small),legs=6", ["ant"]),
    ],
)
def test_a_label_selector_picks(zoo: Space, selector: str, names: list[str]) -> None:
    found = zoo.listed("ConfigMap", labelSelector=selector).names
    # A controller gives each namespace of a real cluster a config map of its own.
    assert [name for name in found if name != "kube-root-ca.crt"] == [
        name for name in names if name != "kube-root-ca.crt"
    ]


@pytest.mark.parametrize("selector", ["a b", "a in", "a in (", "=", "a=b=c", "a in (x) y"])
def test_a_label_selector_that_can_not_be_read_is_a_bad_request(space: Space, selector: str) -> None:
    assert space.listed("ConfigMap", labelSelector=selector).said == (400, "BadRequest")


def test_a_field_selector_picks(space: Space) -> None:
    space.made(pod("one", node="n1"))
    space.made(pod("two", node="n2"))
    space.merge("Pod", "one", {"status": {"phase": "Running"}}, "status")

    def names(selector: str) -> list[str]:
        return space.listed("Pod", fieldSelector=selector).names

    assert names("metadata.name=one") == ["one"]
    assert names("spec.nodeName=n2") == ["two"]
    assert names("spec.nodeName!=n2") == ["one"]
    assert names("status.phase=Running") == ["one"]
    assert names(f"metadata.namespace={space.namespace},status.phase!=Running") == ["two"]


def test_a_field_that_is_not_indexed_is_a_bad_request(space: Space) -> None:
    assert space.listed("Pod", fieldSelector="spec.bogus=1").said == (400, "BadRequest")
    assert space.listed("ConfigMap", fieldSelector="data.a=1").said == (400, "BadRequest")


def test_a_list_says_its_kind_and_a_version_at_which_it_can_be_watched(space: Space) -> None:
    made = space.made(config_map("a"))
    answer = space.listed("ConfigMap")
    assert (answer.body["kind"], answer.body["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(answer.version) >= int(made["metadata"]["resourceVersion"])
    assert all("kind" not in item for item in answer.body["items"])


def test_a_list_is_in_the_order_of_names(space: Space) -> None:
    for name in ("b", "c", "a", "b-1"):
        space.made(config_map(name, labels={"mine": "1"}))
    assert space.listed("ConfigMap", labelSelector="mine").names == ["a", "b", "b-1", "c"]


def test_a_list_comes_in_pages_of_one_version(space: Space) -> None:
    for number in range(5):
        space.made(config_map(f"page-{number}"))
    wanted = {"limit": 2, "fieldSelector": "metadata.name!=kube-root-ca.crt"}
    first = space.listed("ConfigMap", **wanted)
    assert first.names == ["page-0", "page-1"]
    space.made(config_map("page-00"))
    space.delete("ConfigMap", "page-4")
    second = space.listed("ConfigMap", **wanted, **{"continue": first.body["metadata"]["continue"]})
    assert second.names == ["page-2", "page-3"]
    assert second.version == first.version
    third = space.listed("ConfigMap", **wanted, **{"continue": second.body["metadata"]["continue"]})
    assert third.names == ["page-4"]
    assert "continue" not in third.body["metadata"]


def test_a_page_without_a_selector_tells_how_many_remain(space: Space) -> None:
    for number in range(5):
        space.made(pod(f"page-{number}", node="nowhere"))
    assert space.listed("Pod", limit=2).body["metadata"]["remainingItemCount"] == 3


def test_a_continue_token_that_is_none_is_a_bad_request(space: Space) -> None:
    assert space.listed("ConfigMap", limit=1, **{"continue": "nonsense"}).said == (400, "BadRequest")


def test_a_collection_is_deleted_by_selector(zoo: Space) -> None:
    answer = zoo.server.call("DELETE", zoo.path("ConfigMap"), labelSelector="legs=4")
    assert answer.status == 200
    assert [name for name in zoo.listed("ConfigMap").names if name != "kube-root-ca.crt"] == ["ant", "snake"]


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("Pod", "Name Ready Status Restarts Age IP Node Nominated-Node Readiness-Gates"),
        ("Node", "Name Status Roles Age Version Internal-IP External-IP OS-Image Kernel-Version Container-Runtime"),
        ("Deployment", "Name Ready Up-to-date Available Age Containers Images Selector"),
        ("ReplicaSet", "Name Desired Current Ready Age Containers Images Selector"),
        ("Service", "Name Type Cluster-IP External-IP Port(s) Age Selector"),
        ("ConfigMap", "Name Data Age"),
        ("Namespace", "Name Status Age"),
        ("Lease", "Name Holder Age"),
        ("PodDisruptionBudget", "Name Min-Available Max-Unavailable Allowed-Disruptions Age"),
        ("Event", "Last-Seen Type Reason Object Subobject Source Message First-Seen Count Name"),
        ("EndpointSlice", "Name AddressType Ports Endpoints Age"),
    ],
)
def test_a_table_has_the_columns_that_kubectl_prints(space: Space, kind: str, columns: str) -> None:
    answer = space.listed(kind, accept=TABLE, limit=1)
    assert answer.body["kind"] == "Table"
    names = [column["name"].replace(" ", "-") for column in answer.body["columnDefinitions"]]
    assert " ".join(names) == columns


def test_a_row_of_a_table_carries_the_metadata_of_its_object(space: Space) -> None:
    space.made(deployment("d"))
    row = space.listed("Deployment", accept=TABLE).body["rows"][0]
    assert row["cells"][:4] == ["d", "0/0", 0, 0]
    assert (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "d")
    whole = space.listed("Deployment", accept=TABLE, includeObject="Object").body["rows"][0]["object"]
    assert (whole["kind"], whole["spec"]["replicas"]) == ("Deployment", 0)
