"""Runs the API server with its controllers: parses options, listens, says `ready`, ends on SIGTERM."""

import argparse
import asyncio
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.routes import Door
from scenario_runner.lab.apiserver.secret_path import SecretPath
from scenario_runner.lab.apiserver.watching import Watches
from scenario_runner.lab.controllers import Settings, start_controllers
from scenario_runner.lab.controllers.reactor import LoopTimers


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; prints `ready http://HOST:PORT` once requests are answered."""
    options = _parser().parse_args(argv)
    token = Path(options.token_file).read_text().strip() if options.token_file else None
    settings = Settings(options.node_grace, options.eviction_after, options.heartbeat_start_grace)
    listener = _listen(options.listen)
    # uvicorn raises the signal that ended it once more when it is done; that one must not kill.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    api = Api.empty(time.time, options.eviction_after, options.history, options.service_network)
    asyncio.run(_serve(api, settings, token, listener))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab-apiserver", description="The lab's Kubernetes API server.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--token-file", metavar="FILE", help="bearer token that every request must carry")
    parser.add_argument("--node-grace", type=float, default=40, help="seconds without a heartbeat until NotReady")
    parser.add_argument(
        "--heartbeat-start-grace", type=float, default=60, help="the same for a node that never sent one"
    )
    parser.add_argument(
        "--eviction-after", type=int, default=300, help="seconds that pods tolerate a node that is not ready"
    )
    parser.add_argument("--service-network", default="10.96.0", metavar="A.B.C", help="where services get addresses")
    parser.add_argument("--history", type=int, default=2000, help="changes per resource that watches can replay")
    return parser


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    # With the protocol named, asyncio turns Nagle off; else each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    return listener


class _Server(uvicorn.Server):
    """Says when it is ready, and ends open watches before it waits for connections to finish."""

    def __init__(self, config: uvicorn.Config, watches: Watches) -> None:
        super().__init__(config)
        self._watches = watches

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = sockets[0].getsockname() if sockets else ("", 0)
        print(f"ready http://{host}:{port}", flush=True)  # noqa: T201 - the contract with who started us

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._watches.close()
        await super().shutdown(sockets)


async def _serve(api: Api, settings: Settings, token: str | None, listener: socket.socket) -> None:
    watches = Watches(api.store)
    start_controllers(api, settings, LoopTimers(asyncio.get_running_loop()))
    door = Door(api, watches, token).application()
    config = uvicorn.Config(
        SecretPath(door, token) if token else door,
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    await _Server(config, watches).serve([listener])
