"""A short drill for bad days: a GPU reports an error under traffic, and then something else happens, too."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.drill import Stage
from tests.e2e.stage import SERVICE

Json = dict[str, Any]

ACTIVE = '"value": "active"'  # how a run's events tell that the fault is there
TOLERATED = 94  # the platform reports it and leaves the node alone


def drill(
    stage: Stage, *steps: Json, before: Sequence[Json] = (), xid: int = TOLERATED, rate: str = "10/s",
    success: str = "at least 0.5", **fields: Any
) -> Path:  # fmt: skip
    """The file of a scenario whose `steps` come between the fault, which was noticed, and the verdict on its time."""
    chat = {"model": "auto", "prompt": "hello", "max_tokens": 5}
    content = {
        **fields,
        "version": 1,
        "name": "bad-day",
        "namespace": SERVICE,
        "requires": ["agent", "sentinel"],
        "targets": {
            "worker": {"workload": "deployment/vllm-decode"},
            "victim": {"gpu_of": "worker", "pick": "first"},
            "frontend": {"service": "frontend", "port": 8000, "chat": chat},
        },
        "steps": [
            *before,
            {"send_requests": {"target": "frontend", "rate": rate}, "id": "traffic", "background": True},
            {"inject_xid": {"target": "victim", "xid": xid}},
            {"wait_for_node": {"target": "victim", "reached": "noticed"}},
            *steps,
            {"join": "traffic"},
            {"assert_success": {"load": "traffic", "during": "fault", "ratio": success}},
        ],
    }
    file = stage.folder / "bad-day.yaml"
    file.write_text(json.dumps(content))
    return file


def victim(stage: Stage) -> str:
    """The node that the drill will choose: that of the first pod by name."""
    return str(min(workers(stage), key=lambda pod: pod["metadata"]["name"])["spec"]["nodeName"])


def workers(stage: Stage) -> list[Json]:
    """The pods of the service that stay."""
    found = stage.cluster.get("pods", f"--namespace={SERVICE}", "--selector=app=vllm-decode")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def serve_elsewhere(stage: Stage, node: str) -> bool:
    """Whether three workers are ready without that node."""
    elsewhere = [pod for pod in workers(stage) if pod["spec"].get("nodeName") not in (None, node)]
    conditions = [one for pod in elsewhere for one in pod["status"].get("conditions", [])]
    return sum(one["type"] == "Ready" and one["status"] == "True" for one in conditions) == 3
