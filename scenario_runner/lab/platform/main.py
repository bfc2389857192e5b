"""The process of the platform stand-in."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from scenario_runner.lab.platform.api import ApiTrouble, LabApi
from scenario_runner.lab.platform.clock import RealClock
from scenario_runner.lab.platform.place import read_places
from scenario_runner.lab.platform.platform import Platform
from scenario_runner.lab.platform.times import DEFAULT_SCALE, scaled

_TICK_SECONDS = 0.1


def main(argv: list[str] | None = None) -> int:
    """
    Run until SIGTERM or SIGINT; print `ready` when faults written from now on will be found.

    Returns 0, or 2 with one sentence on stderr if it can not start.
    """
    options = _parser().parse_args(argv)
    try:
        times = scaled(options.scale)
        places = read_places(options.nodes_file)
        api = LabApi(options.kubeconfig)
        platform = Platform(api, places.nodes, places.ask, times, RealClock())
    except (ApiTrouble, OSError, ValueError, KeyError) as error:
        print(f"platform: {error}", file=sys.stderr)  # noqa: T201
        return 2
    _run(platform, api)
    return 0


def _run(platform: Platform, api: LabApi) -> None:
    stop, wake, connected = threading.Event(), threading.Event(), threading.Event()

    def leave(*_: object) -> None:
        stop.set()
        wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    threading.Thread(target=api.watch_nodes, args=(connected.set, wake.set, stop), daemon=True).start()
    while not stop.is_set() and not connected.wait(_TICK_SECONDS):
        pass
    if not stop.is_set():
        print("ready", flush=True)  # noqa: T201
    while not stop.is_set():
        changed = wake.is_set()
        wake.clear()
        platform.tick(changed=changed)
        wake.wait(_TICK_SECONDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="platform", description="Finds GPU faults in kernel logs and heals nodes.")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="of the lab's API server")
    parser.add_argument("--nodes-file", type=Path, required=True, help="JSON: where each node's files are")
    parser.add_argument(
        "--scale", type=float, default=DEFAULT_SCALE, help="real times are divided by it (default %(default)g)"
    )
    return parser
