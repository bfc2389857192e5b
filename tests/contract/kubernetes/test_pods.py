"""Pods that really run: crashes, probes, logs, the end; by the lab's kubelet and by a real one."""

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_runner.lab.lab import Lab
from tests.contract.kubernetes.kubectl import kubectl_for
from tests.contract.kubernetes.objects import config_map
from tests.contract.kubernetes.server import Json, Server, Space, eventually
from tests.contract.kubernetes.spaces import fresh_space
from tests.e2e.image import RUNNER_IMAGE
from tests.lab_fixture import lab

__all__ = ["lab"]
pytestmark = pytest.mark.timeout(180)
_NUMBERS = itertools.count(1)
_BACKENDS = [pytest.param("lab", marks=pytest.mark.lab), pytest.param("real", marks=pytest.mark.e2e)]


@pytest.fixture(scope="module")
def lab_house(lab: Lab) -> Iterator[Server]:
    server = Server("lab", Path(lab.info.kubeconfig))
    yield server
    server.close()


@pytest.fixture
def real_house(real_api: Server) -> Server:
    return real_api


@pytest.fixture(params=_BACKENDS)
def house(request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace of a cluster whose nodes run pods."""
    server = request.getfixturevalue(f"{request.param}_house")
    with fresh_space(server, f"house-{os.getpid()}-{next(_NUMBERS)}") as made:
        yield made


def run(house: Space, *command: str, container: Json | None = None, **spec: object) -> None:
    """A pod `p` of one container."""
    main = {"name": "main", "image": RUNNER_IMAGE, "imagePullPolicy": "IfNotPresent", "command": list(command)}
    wanted = {"containers": [main | (container or {})], "terminationGracePeriodSeconds": 2} | spec
    house.made({"kind": "Pod", "metadata": {"name": "p"}, "spec": wanted})


def status(house: Space) -> Json:
    """The container's, with the pod's phase and the words of its Ready condition."""
    found = house.read("Pod", "p").body["status"]
    [row] = found.get("containerStatuses") or [{"state": {}, "lastState": {}, "restartCount": 0, "ready": False}]
    ready = next((one["status"] for one in found.get("conditions", []) if one["type"] == "Ready"), "")
    return {**row, "phase": found["phase"], "Ready": ready}


def when(house: Space, what: str, **wanted: object) -> Json:
    def look() -> Json | None:
        found = status(house)
        return found if all(found[name] == value for name, value in wanted.items()) else None

    return eventually(look, f"{what}: {wanted}", patience=90)


def reasons(house: Space) -> set[str]:
    events = house.listed("Event", fieldSelector="involvedObject.name=p").body["items"]
    return {one["reason"] for one in events}


def log(house: Space, **query: object) -> str:
    return house.read("Pod", "p", "log", **query).text


def test_a_pod_runs_to_its_end(house: Space) -> None:
    run(house, "sh", "-c", "echo done; exit 0", restartPolicy="Never")
    ended = when(house, "it has ended", phase="Succeeded")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert log(house) == "done\n"


def test_a_pod_fails_with_its_exit_code(house: Space) -> None:
    run(house, "sh", "-c", "exit 3", restartPolicy="Never")
    ended = when(house, "it has failed", phase="Failed")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")


def test_a_pod_that_crashes_is_restarted_with_pauses(house: Space) -> None:
    run(house, "sh", "-c", "echo round; exit 7")

    def is_backed_off() -> Json | None:
        found = status(house)
        waits = found["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return found if waits and found["restartCount"] >= 1 else None

    found = eventually(is_backed_off, "it is in a crash loop", patience=90)
    assert found["lastState"]["terminated"]["exitCode"] == 7
    assert (found["phase"], found["Ready"]) == ("Running", "False")
    assert log(house, previous="true") == "round\n"
    eventually(lambda: "BackOff" in reasons(house), "it is told in an event")


def test_a_pod_is_ready_when_its_probe_says_so(house: Space) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/contract-ready-p"]}, "periodSeconds": 1}
    script = (
        "rm -f /tmp/contract-ready-p; sleep 3; touch /tmp/contract-ready-p; sleep 3; rm /tmp/contract-ready-p; sleep 90"
    )
    run(house, "sh", "-c", script, container={"readinessProbe": probe | {"failureThreshold": 1}})
    when(house, "it runs", phase="Running", Ready="False")
    when(house, "it is ready", Ready="True", ready=True)
    when(house, "it is no longer ready", Ready="False", ready=False)
    assert status(house)["restartCount"] == 0
    eventually(lambda: "Unhealthy" in reasons(house), "it is told in an event")


def test_a_pod_whose_liveness_probe_fails_is_started_again(house: Space) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    run(house, "sh", "-c", "trap '' TERM; while :; do sleep 0.2; done", container={"livenessProbe": probe})
    restarted = eventually(lambda: found if (found := status(house))["restartCount"] else None, "it is restarted", 90)
    assert restarted["lastState"]["terminated"]["exitCode"] == 137
    assert {"Unhealthy", "Killing"} <= reasons(house)


def test_a_deleted_pod_gets_a_term_and_time(house: Space) -> None:
    run(house, "sh", "-c", "trap 'echo bye; sleep 1; exit 0' TERM; echo hello; while :; do sleep 0.1; done")
    when(house, "it runs", phase="Running", ready=True)
    eventually(lambda: "hello" in log(house), "it has said hello")
    house.delete("Pod", "p", gracePeriodSeconds=20)
    eventually(lambda: "bye" in log(house), "it has heard the signal")
    eventually(lambda: not house.exists("Pod", "p"), "it is gone", patience=90)


def test_a_pod_that_does_not_listen_is_killed_after_its_grace(house: Space) -> None:
    run(house, "sh", "-c", "trap '' TERM; echo hello; while :; do sleep 0.1; done")
    eventually(lambda: "hello" in log(house), "it has said hello")
    begun = time.monotonic()
    house.delete("Pod", "p")
    eventually(lambda: not house.exists("Pod", "p"), "it is gone", patience=90)
    assert time.monotonic() - begun > 1.5


def test_a_container_has_its_variables_and_files(house: Space) -> None:
    house.made(config_map("c", {"greeting": "hello"}))
    reference = {"configMapKeyRef": {"name": "c", "key": "greeting"}}
    env = [
        {"name": "PLAIN", "value": "1"},
        {"name": "GREETING", "valueFrom": reference},
        {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]
    run(house, "sh", "-c", 'echo "$PLAIN $GREETING $WHERE"', container={"env": env}, restartPolicy="Never")
    when(house, "it has ended", phase="Succeeded")
    node = house.read("Pod", "p").body["spec"]["nodeName"]
    assert log(house) == f"1 hello {node}\n"


def test_a_pod_waits_for_what_it_refers_to(house: Space) -> None:
    env = [{"name": "G", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "g"}}}]
    run(house, "sh", "-c", 'echo "$G"', container={"env": env}, restartPolicy="Never")
    eventually(
        lambda: status(house)["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError", "it waits", 60
    )
    house.made(config_map("later", {"g": "there"}))
    eventually(lambda: status(house)["phase"] == "Succeeded", "it has ended", 20)
    assert log(house) == "there\n"


def test_the_log_of_a_container_that_is_not_there_is_a_bad_request(house: Space) -> None:
    run(house, "sleep", "90")
    when(house, "it runs", phase="Running")
    assert house.read("Pod", "p", "log", container="nope").said == (400, "BadRequest")
    assert house.read("Pod", "p", "log", previous="true").said == (400, "BadRequest")


def test_a_log_can_be_cut(house: Space) -> None:
    run(house, "sh", "-c", "for n in 1 2 3; do echo line $n; done", restartPolicy="Never")
    when(house, "it has ended", phase="Succeeded")
    assert log(house, tailLines=1) == "line 3\n"
    assert log(house, limitBytes=6) == "line 1"


@pytest.mark.e2e
def test_kubectl_shows_the_log_of_a_pod(house: Space, tmp_path: Path) -> None:
    run(house, "sh", "-c", "for n in 1 2 3; do echo line $n; sleep 0.5; done", restartPolicy="Never")
    when(house, "it has begun", phase="Running")
    kubectl = kubectl_for(house, tmp_path)
    assert kubectl("logs", "--follow", "pod/p") == "line 1\nline 2\nline 3\n"
    assert kubectl("logs", "p", "--container=main", "--tail=1") == "line 3\n"
    assert "container nope is not valid for pod p" in kubectl("logs", "p", "--container=nope", code=1)


def test_a_log_can_tell_the_times(house: Space) -> None:
    run(house, "sh", "-c", "echo line", restartPolicy="Never")
    when(house, "it has ended", phase="Succeeded")
    stamped = log(house, timestamps="true").splitlines()[0]
    assert stamped.endswith("Z line")
