"""Watches: history, what a selector makes of changes, bookmarks, the end."""

import time

import pytest

from tests.contract.kubernetes.backends import HISTORY
from tests.contract.kubernetes.objects import config_map, pod
from tests.contract.kubernetes.server import Json, Space


def told(events: list[tuple[str, Json]]) -> list[tuple[str, str]]:
    return [(kind, obj["metadata"]["name"]) for kind, obj in events]


def test_a_watch_from_a_list_tells_each_change_after_it(space: Space) -> None:
    since = space.listed("ConfigMap").version
    space.made(config_map("a"))
    space.merge("ConfigMap", "a", {"data": {"a": "2"}})
    space.delete("ConfigMap", "a")
    events = space.watched("ConfigMap", since, 3)
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(since)


def test_a_watch_from_a_version_replays_what_came_after_it(space: Space) -> None:
    since = space.made(config_map("a"))["metadata"]["resourceVersion"]
    for value in ("2", "3"):
        space.merge("ConfigMap", "a", {"data": {"a": value}})
    assert [obj["data"]["a"] for _, obj in space.watched("ConfigMap", since, 2)] == ["2", "3"]


def test_an_open_watch_tells_a_change_at_once(space: Space) -> None:
    since = space.listed("ConfigMap").version
    with space.server.watching(space.path("ConfigMap"), resourceVersion=since) as events:
        space.made(config_map("a"))
        assert next(events)["object"]["metadata"]["name"] == "a"
        space.delete("ConfigMap", "a")
        assert next(events)["type"] == "DELETED"


def test_a_deleted_object_comes_in_its_last_state_with_a_version_of_its_own(space: Space) -> None:
    made = space.made(config_map("a", {"a": "last"}))
    space.delete("ConfigMap", "a")
    [(kind, obj)] = space.watched("ConfigMap", made["metadata"]["resourceVersion"], 1)
    assert (kind, obj["data"]) == ("DELETED", {"a": "last"})
    assert int(obj["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_a_watch_without_a_version_begins_with_what_is_there(space: Space) -> None:
    space.made(pod("a", node="nowhere"))
    for version in ("", "0"):
        with space.server.watching(space.path("Pod"), resourceVersion=version) as events:
            assert next(events)["type"] == "ADDED"


def test_an_object_that_leaves_the_selector_is_deleted_for_the_watcher(space: Space) -> None:
    since = space.made(config_map("a", labels={"on": "1"}))["metadata"]["resourceVersion"]
    space.merge("ConfigMap", "a", {"metadata": {"labels": {"on": "0"}}})
    space.merge("ConfigMap", "a", {"data": {"a": "unseen"}})
    space.merge("ConfigMap", "a", {"metadata": {"labels": {"on": "1"}}})
    events = space.watched("ConfigMap", since, 2, labelSelector="on=1")
    assert told(events) == [("DELETED", "a"), ("ADDED", "a")]
    assert events[0][1]["metadata"]["labels"] == {"on": "1"}  # the state in which it was last seen


def test_an_object_that_never_matched_is_not_told(space: Space) -> None:
    since = space.listed("ConfigMap").version
    space.made(config_map("a"))
    space.merge("ConfigMap", "a", {"data": {"a": "2"}})
    space.delete("ConfigMap", "a")
    space.made(config_map("b", labels={"on": "1"}))
    assert told(space.watched("ConfigMap", since, 1, labelSelector="on=1")) == [("ADDED", "b")]


def test_a_watch_by_field_follows_the_phase_of_a_pod(space: Space) -> None:
    since = space.made(pod("a", node="nowhere"))["metadata"]["resourceVersion"]
    for phase in ("Running", "Failed"):
        space.merge("Pod", "a", {"status": {"phase": phase}}, "status")
    events = space.watched("Pod", since, 2, fieldSelector="status.phase=Running")
    assert [kind for kind, _ in events] == ["ADDED", "DELETED"]


def test_a_watch_of_one_object_is_by_its_name(space: Space) -> None:
    since = space.listed("ConfigMap").version
    space.made(config_map("a"))
    space.made(config_map("b"))
    assert told(space.watched("ConfigMap", since, 1, fieldSelector="metadata.name=b")) == [("ADDED", "b")]


def test_a_watch_of_all_namespaces_tells_of_each(space: Space) -> None:
    since = space.listed("ConfigMap").version
    space.made(config_map("a", labels={"space": space.namespace}))
    with space.server.watching("/api/v1/configmaps", resourceVersion=since) as events:
        seen = (one["object"]["metadata"] for one in events)
        assert any((meta["namespace"], meta["name"]) == (space.namespace, "a") for meta in seen)


def test_a_watch_ends_after_its_time(space: Space) -> None:
    begun = time.monotonic()
    assert space.watched("ConfigMap", space.listed("ConfigMap").version, 99, timeoutSeconds=1) == []
    assert 0.9 < time.monotonic() - begun < 15


def test_a_bookmark_ends_the_initial_events(space: Space) -> None:
    space.made(pod("a", node="nowhere"))
    wanted = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    (first, _), (second, mark) = space.watched("Pod", "", 2, **wanted)
    assert (first, second) == ("ADDED", "BOOKMARK")
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert (mark["kind"], mark["apiVersion"]) == ("Pod", "v1")
    assert int(mark["metadata"]["resourceVersion"]) > 0


def test_initial_events_need_to_be_asked_for_in_full(space: Space) -> None:
    answer = space.server.call("GET", space.path("Pod"), watch="1", sendInitialEvents="true", timeoutSeconds=1)
    assert answer.said == (422, "Invalid")


def test_a_version_that_is_no_number_is_refused(space: Space) -> None:
    answer = space.server.call("GET", space.path("ConfigMap"), watch="1", resourceVersion="soon", timeoutSeconds=1)
    assert answer.said == (500, "")
    assert answer.body["message"] == (
        'resourceVersion: Invalid value: "soon": strconv.ParseUint: parsing "soon": invalid syntax'
    )
    assert space.listed("ConfigMap", resourceVersion="soon").said == (400, "BadRequest")


def test_a_version_that_is_forgotten_is_expired(space: Space, request: pytest.FixtureRequest) -> None:
    """The lab remembers so many changes; a real server nothing that came before the kind that is asked for."""
    since = space.made(config_map("a"))["metadata"]["resourceVersion"]
    path = space.path("ConfigMap")
    if space.server.name == "real":
        path = f"/apis/{request.getfixturevalue('widgets')}/v1/namespaces/{space.namespace}/widgets"
    else:
        for number in range(HISTORY + 1):
            space.merge("ConfigMap", "a", {"data": {"a": str(number)}})
    with space.server.watching(path, resourceVersion=since) as events:
        first = next(events)
    assert first["type"] == "ERROR"
    assert (first["object"]["code"], first["object"]["reason"]) == (410, "Expired")
    assert first["object"]["message"].startswith(f"too old resource version: {since} (")


def test_a_list_can_ask_for_a_version_that_is_not_yet_there(space: Space) -> None:
    version = str(int(space.listed("ConfigMap").version) + 1_000_000)
    answer = space.listed("ConfigMap", resourceVersion=version, resourceVersionMatch="NotOlderThan")
    assert answer.said == (504, "Timeout")


def test_a_watch_shows_tables_to_those_who_ask(space: Space) -> None:
    since = space.listed("ConfigMap").version
    space.made(config_map("a"))
    answer = space.server.call(
        "GET",
        space.path("ConfigMap"),
        watch="1",
        resourceVersion=since,
        timeoutSeconds=1,
        accept="application/json;as=Table;v=v1;g=meta.k8s.io",
    )
    assert '"kind":"Table"' in answer.text
