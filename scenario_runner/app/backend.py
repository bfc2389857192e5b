"""The cluster that a command acts on: a kept lab, or one that lives as long as the command."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenario_runner.adapters.http_agent import HttpAgent
from scenario_runner.adapters.kubernetes_cluster import KubernetesCluster
from scenario_runner.errors import Refused, TargetUnreachable
from scenario_runner.lab import lab
from scenario_runner.lab.kernel_log_guard import why_not_real
from scenario_runner.lab.lab import LabInfo, LabOptions
from scenario_runner.lab.options import KernelLogKind


@dataclass(frozen=True)
class Backend:
    """A cluster in words, and the ways to it."""

    words: str
    info: LabInfo
    cluster: KubernetesCluster
    agent: HttpAgent


@contextmanager
def backend(*, use_lab: bool, lab_name: str, kernel_log: str) -> Iterator[Backend]:
    """The kept lab of that name if it is up, else a lab that ends with the `with` block (or with this process)."""
    if not use_lab:
        raise Refused("this version runs drills in the lab only, no other API server is touched: add --lab")
    kept = lab.find(lab_name)
    if kept is not None:
        yield connect(kept)
        return
    name = f"run-{secrets.token_hex(3)}"  # several runs may have their own at the same time
    with lab.up(LabOptions(name=name, kernel_log=choose_kernel_log(kernel_log)), owned=True) as own:
        yield connect(own.info)


def choose_kernel_log(wish: str) -> KernelLogKind:
    """`auto` becomes `real` where that does no harm, else `file`."""
    if wish == "auto":
        return "file" if why_not_real() else "real"
    return "real" if wish == "real" else "file"


def connect(info: LabInfo) -> Backend:
    words = f"lab {info.name} ({info.kernel_log} kernel log, platform {info.scale:g} times as fast)"
    agent = HttpAgent(info.gateway_url, read_token(Path(info.token_file)))
    return Backend(words, info, KubernetesCluster(Path(info.kubeconfig)), agent)


def read_token(file: Path) -> str:
    """The token of the fault agents; raise TargetUnreachable when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise TargetUnreachable(f"the token of the fault agents in {file} cannot be read: {exc.strerror}") from exc
