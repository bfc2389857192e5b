"""`python -m fault_agent.kubelet_allocations`: keeps the file that says which pod holds which GPU up to date.

The kubelet records which device it gave to which container, by the pod's uid; the cluster knows the pods' names.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fault_agent.clock import monotonic
from fault_agent.cluster import SERVICE_ACCOUNT, ClusterApi, ServiceAccount
from fault_agent.refusal import CannotStart

RECORD = "kubelet_internal_checkpoint"
LOOK_SECONDS = 0.5  # how often the kubelet's record is looked at
ASK_SECONDS = 10.0  # how often the cluster is asked while the record stays as it is: pods end without a new record
_OVER = ("Succeeded", "Failed")

Allocations = dict[str, list[dict[str, str]]]
"""UUID of a GPU -> who holds it: `{"namespace", "pod", "container"}`."""


@dataclass(frozen=True)
class Given:
    """One device in the hands of one container."""

    device: str
    pod_uid: str
    container: str


def given_by(record: bytes, resource: str) -> tuple[Given, ...]:
    """What the kubelet's record says about `resource`; raises ValueError if it is not one.

    Devices that are shared are listed as `<uuid>::<replica>`.
    """
    try:
        entries = json.loads(record)["Data"]["PodDeviceEntries"] or ()
        found = [
            Given(device.partition("::")[0], entry["PodUID"], entry["ContainerName"])
            for entry in entries
            if entry["ResourceName"] == resource
            for device in _devices(entry["DeviceIDs"])
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("the kubelet's record of devices has an unknown form") from error
    return tuple(found)


def _devices(by_numa: Any) -> Iterator[str]:
    for devices in by_numa.values():
        yield from devices


def named(given: tuple[Given, ...], pods: list[dict[str, Any]]) -> Allocations:
    """The holders by name; pods that the cluster does not know, or that are over, hold nothing."""
    by_uid = {pod["metadata"]["uid"]: pod["metadata"] for pod in pods if _holds(pod)}
    holders: Allocations = {}
    for one in given:
        if (meta := by_uid.get(one.pod_uid)) is not None:
            holder = {"namespace": meta["namespace"], "pod": meta["name"], "container": one.container}
            holders.setdefault(one.device, []).append(holder)
    return dict(sorted(holders.items()))


def _holds(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") not in _OVER


@dataclass
class Keeper:
    """Writes the file anew when something changed; `turn` is one look."""

    record: Path
    resource: str
    pods: Callable[[], list[dict[str, Any]]]
    target: Path
    say: Callable[[str], None]
    now: Callable[[], float] = monotonic
    _seen: bytes | None = None
    _asked_at: float = 0.0
    _written: str | None = None
    _complaint: str | None = None

    def turn(self) -> None:
        """Look once; what goes wrong is said once and tried again the next time."""
        try:
            self._look()
            self._complaint = None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._seen = None
            if str(error) != self._complaint:
                self._complaint = str(error)
                self.say(f"who holds which GPU is not known: {error}")

    def _look(self) -> None:
        record = self._read()
        if record == self._seen and self.now() - self._asked_at < ASK_SECONDS:
            return
        given = given_by(record, self.resource) if record else ()
        allocations = named(given, self.pods() if given else [])
        self._seen, self._asked_at = record, self.now()
        self._write(json.dumps(allocations) + "\n")

    def _read(self) -> bytes:
        try:
            return self.record.read_bytes()
        except FileNotFoundError:  # the kubelet has not given anything to anybody yet
            return b""

    def _write(self, text: str) -> None:
        if text == self._written:
            return
        draft = self.target.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.target)
        self._written = text


def pods_on(cluster: ClusterApi, node: str) -> Callable[[], list[dict[str, Any]]]:
    """Asks the cluster for the pods of one node; what its API server has in memory is new enough."""
    path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{quote(node)}&resourceVersion=0"

    def ask() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = cluster.get(path)["items"]
        return items

    return ask


def main(argv: list[str] | None = None) -> int:
    """Ends with SIGTERM; 2 = it can not start and why is on stderr."""
    chosen = parser().parse_args(argv)

    def say(sentence: str) -> None:
        print(sentence, flush=True)  # noqa: T201 - the log of the container

    try:
        cluster = ServiceAccount(chosen.service_account_dir).api()
    except CannotStart as error:
        print(f"kubelet_allocations: {error}", file=sys.stderr)  # noqa: T201 - said to whoever started us
        return 2
    end = threading.Event()
    # The first process of a container ignores signals that it does not handle, and pods would take long to end.
    signal.signal(signal.SIGTERM, lambda _number, _frame: end.set())
    keeper = Keeper(chosen.kubelet / RECORD, chosen.resource, pods_on(cluster, chosen.node), chosen.write, say)
    while not end.wait(LOOK_SECONDS):
        keeper.turn()
    return 0


def parser() -> argparse.ArgumentParser:
    """The options; `--kubelet` and `--write` are needed."""
    options = argparse.ArgumentParser(prog="python -m fault_agent.kubelet_allocations")
    options.add_argument("--node", default=os.environ.get("NODE_NAME"), metavar="NAME", help="($NODE_NAME)")
    options.add_argument(
        "--kubelet", type=Path, required=True, metavar="DIR", help="the kubelet's device-plugins folder"
    )
    options.add_argument("--resource", default="nvidia.com/gpu", metavar="NAME", help="(nvidia.com/gpu)")
    options.add_argument("--write", type=Path, required=True, metavar="FILE", help="the file for `--allocations`")
    options.add_argument("--service-account-dir", type=Path, default=SERVICE_ACCOUNT, metavar="DIR")
    return options


if __name__ == "__main__":
    sys.exit(main())
