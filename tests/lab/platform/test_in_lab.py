"""One fault in a whole lab: agent, kernel log, stand-in, kubelets, keeper."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenario_runner.lab import lab
from scenario_runner.lab.options import LabInfo, LabOptions
from scenario_runner.lab.platform.cluster import Node
from scenario_runner.lab.platform.states import LABEL


@pytest.fixture
def info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabInfo]:
    monkeypatch.setenv("SCENARIO_RUNNER_STATE", str(tmp_path))
    with lab.up(LabOptions(name="platform"), owned=True) as running:
        yield running.info


def call(info: LabInfo, url: str, body: dict[str, Any] | None = None) -> Any:
    token = Path(info.token_file).read_text().strip()
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=50)


def pictures(info: LabInfo, version: str) -> Iterator[Node]:
    """Every change of gpu-1 since a resource version."""
    with call(info, f"{info.api_url}/api/v1/nodes?watch=true&resourceVersion={version}") as stream:
        for line in stream:
            event = json.loads(line)
            if event["object"]["metadata"]["name"] == "gpu-1":
                yield Node(event["object"])


def inject(info: LabInfo, xid: int) -> dict[str, Any]:
    with call(info, f"{info.gateway_url}/api/v1/faults/gpu/inject/xid-{xid}", {"node_name": "gpu-1"}) as answer:
        record: dict[str, Any] = json.load(answer)
    return record


def follow(info: LabInfo, version: str) -> tuple[list[str], list[str], Node]:
    """Each state of the label and each status of Ready in order, until the label is gone; and the node then."""
    seen, ready = [""], ["True"]
    for node in pictures(info, version):
        state = node.labels.get(LABEL, "")
        status = (node.condition("Ready") or {}).get("status", "")
        seen += [state] * (state != seen[-1])
        ready += [status] * (status != ready[-1])
        if state == "" and len(seen) > 1:
            return seen[1:], ready, node
    raise AssertionError(f"the watch ended after {seen}")


def version_of_now(info: LabInfo) -> str:
    with call(info, f"{info.api_url}/api/v1/nodes") as answer:
        return str(json.load(answer)["metadata"]["resourceVersion"])


@pytest.mark.lab
@pytest.mark.parametrize("xid", [79, 119])
def test_a_fault_that_the_agent_writes_is_healed_and_the_node_is_as_it_was(info: LabInfo, xid: int) -> None:
    version = version_of_now(info)
    fault = inject(info, xid)
    states, ready, healed = follow(info, version)
    # Whether there is anything to drain depends on where the scheduler put the pods.
    assert [state for state in states if state != "draining"] == [
        "quarantined",
        "drain-succeeded",
        "remediating",
        "remediation-succeeded",
        "",
    ]
    condition = healed.condition("SysLogsXIDError") or {}
    assert (healed.unschedulable, condition["status"], condition["reason"]) == (
        False,
        "False",
        "SysLogsXIDErrorIsHealthy",
    )
    assert [name for name in healed.annotations if "uarantine" in name] == []
    with call(info, f"{info.api_url}/apis/janitor.dgxc.nvidia.com/v1alpha1/{_plural(xid)}") as answer:
        [repair] = json.load(answer)["items"]
    assert repair["spec"]["nodeName"] == "gpu-1"
    if xid == 119:
        assert repair["spec"]["selector"]["uuids"] == [fault["target"]["gpu_uuid"]]
        assert ready == ["True"]
    else:
        assert ready == ["True", "Unknown", "True"]
        assert inject(info, 94)["evidence"]["sequence"] == 0  # the first record of the new boot
        assert healed.raw["status"]["nodeInfo"]["bootID"] != fault["evidence"]["boot_id"]


def _plural(xid: int) -> str:
    return "rebootnodes" if xid == 79 else "gpuresets"
