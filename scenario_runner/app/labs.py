"""`lab up`, `lab down`, `lab status`: a lab that outlives the command."""

import json
from dataclasses import asdict

from scenario_runner.app.backend import choose_kernel_log
from scenario_runner.errors import Refused
from scenario_runner.lab import lab
from scenario_runner.lab.lab import LabInfo, LabOptions


def up(name: str, wish: str, *, as_json: bool) -> str:
    if lab.find(name) is not None:
        raise Refused(f"lab {name} is up already: `scenario-runner lab status` tells about it")
    started = lab.up(LabOptions(name=name, kernel_log=choose_kernel_log(wish)), owned=False)
    return _as_json(started.info) if as_json else _told(started.info)


def down(name: str, *, as_json: bool) -> str:
    was_up = lab.down_named(name)
    if as_json:
        return json.dumps({"name": name, "was_up": was_up})
    if was_up:
        return f"lab {name} is down, nothing of it is left"
    return f"lab {name} is not up"


def status(name: str, *, as_json: bool) -> str:
    info = lab.find(name)
    if info is None:
        raise Refused(f"lab {name} is not up: `scenario-runner lab up` starts it")
    if as_json:
        return _as_json(info)
    rows = [f"  {one.name:<20} pid {one.pid:<8} {one.state}" for one in lab.status(info).components]
    return "\n".join([_told(info), *rows])


def _told(info: LabInfo) -> str:
    told = [f"# lab {info.name}, kernel log: {info.kernel_log}"]
    if info.no_driver:
        told.append(f"# no CUDA fault can hit: {info.no_driver}")
    return "\n".join([*told, f"export KUBECONFIG={info.kubeconfig}"])


def _as_json(info: LabInfo) -> str:
    return json.dumps(asdict(info), default=str, indent=2)
