"""Watches: replay, live events, selectors, expiry, bookmarks, and their end."""

import asyncio

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.selectors import everything
from scenario_runner.lab.apiserver.watching import Watches, WatchResponse, Wish
from tests.lab.apiserver.calls import MERGE, Calls, config


def seen(events: list[dict[str, object]]) -> list[str]:
    return [str(event["type"]) for event in events]


def version(calls: Calls) -> str:
    return str(calls.json(f"{calls.core}/configmaps")["metadata"]["resourceVersion"])


def test_a_watch_from_a_version_sees_only_what_came_after(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("old"))
    path = f"{calls.core}/configmaps"

    def act() -> None:
        calls.post(path, config("w"))
        calls.patch(f"{path}/w", {"data": {"z": "1"}})
        calls.delete(f"{path}/w")

    events = calls.watch(f"{path}?resourceVersion={version(calls)}", act, 3)
    found = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
    assert found == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))


def test_a_watch_replays_history(calls: Calls) -> None:
    path = f"{calls.core}/configmaps"
    start = calls.post(path, config("h")).json()["metadata"]["resourceVersion"]
    for value in ("2", "3"):
        calls.patch(f"{path}/h", {"data": {"a": value}})
    events = calls.watch(f"{path}?resourceVersion={start}", lambda: None, 2)
    assert [(event["type"], event["object"]["data"]["a"]) for event in events] == [("MODIFIED", "2"), ("MODIFIED", "3")]


def test_a_watch_without_a_version_begins_with_what_is_there(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("a"))
    assert seen(calls.watch(f"{calls.core}/configmaps", lambda: None, 1)) == ["ADDED"]


def test_an_object_that_leaves_the_selection_is_deleted_for_the_watcher(calls: Calls) -> None:
    path = f"{calls.core}/configmaps"
    calls.post(path, config("s", labels={"on": "1"}))

    def act() -> None:
        for value in ("0", "1"):
            calls.patch(f"{path}/s", {"metadata": {"labels": {"on": value}}}, MERGE)

    events = calls.watch(f"{path}?labelSelector=on%3D1&resourceVersion={version(calls)}", act, 2)
    assert seen(events) == ["DELETED", "ADDED"]
    assert events[0]["object"]["metadata"]["labels"] == {"on": "1"}
    assert events[0]["object"]["metadata"]["resourceVersion"] < events[1]["object"]["metadata"]["resourceVersion"]


ONLY_A = "fieldSelector=metadata.name%3Da"  # not what every namespace has


def test_a_watch_ends_after_its_time(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("a"))
    assert seen(calls.watch_to_end(f"{calls.core}/configmaps?watch=1&timeoutSeconds=1&{ONLY_A}")) == ["ADDED"]


def test_a_watch_from_the_future_replays_nothing(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("a"))
    path = f"{calls.core}/configmaps?watch=1&resourceVersion=99999999&timeoutSeconds=1"
    assert calls.watch_to_end(path) == []


def test_a_version_that_is_forgotten_has_expired(calls: Calls) -> None:
    path = f"{calls.core}/secrets"
    start = calls.json(path)["metadata"]["resourceVersion"]
    calls.post(path, {"metadata": {"name": "s"}})
    for number in range(501):
        calls.patch(f"{path}/s", {"metadata": {"labels": {"n": str(number)}}})
    [event] = calls.watch(f"{path}?resourceVersion={start}", lambda: None, 1)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_initial_events_end_with_a_bookmark(calls: Calls) -> None:
    calls.post(f"{calls.core}/configmaps", config("a"))
    query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    events = calls.watch(f"{calls.core}/configmaps?{ONLY_A}&{query}", lambda: None, 2)
    assert seen(events) == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_of_a_whole_cluster_sees_every_namespace(calls: Calls) -> None:
    path = f"/api/v1/configmaps?resourceVersion={version(calls)}"
    [event] = calls.watch(path, lambda: calls.post(f"{calls.core}/configmaps", config("a")), 1)
    assert event["object"]["metadata"]["namespace"] == calls.namespace


def test_a_client_that_leaves_is_forgotten_though_nothing_changes() -> None:
    api = Api.empty(lambda: 0.0)
    watches = Watches(api.store)
    wish = Wish(api.at("nodes"), everything, None, 600, bookmarks=False, initial_events=False, show=lambda obj: obj)
    is_open: list[int] = []

    async def leave() -> dict[str, str]:
        await asyncio.sleep(0)
        is_open.append(watches.count)
        return {"type": "http.disconnect"}

    async def ignore(_message: object) -> None:
        pass

    asyncio.run(asyncio.wait_for(WatchResponse(watches, wish)({"type": "http"}, leave, ignore), 10))
    assert (is_open, watches.count) == ([1], 0)
