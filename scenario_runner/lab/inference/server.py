"""The process around the service: listens before the model is loaded, and leaves politely when told to."""

import asyncio
import os
import signal
import sys

from scenario_runner.lab.inference.batching import Batching
from scenario_runner.lab.inference.connection import Connection
from scenario_runner.lab.inference.engine import Engine
from scenario_runner.lab.inference.service import Service
from scenario_runner.lab.inference.settings import Settings, read_settings

_LAST_WORDS = 0.5  # seconds that requests in flight have to be told that the engine died


def main() -> int:
    """Serve until SIGTERM or SIGINT: 0; 1 if the engine died, 2 for a wrong setting or address."""
    try:
        settings = read_settings(os.environ)
        return asyncio.run(_serve(settings))
    except (ValueError, OSError) as error:
        print(f"inference: {error}", file=sys.stderr)  # noqa: T201
        return 2


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    told_to_go = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_go.set)
    gpu = Batching() if settings.has_gpu else None
    engine = Engine(settings.startup, settings.token, gpu, dies_of_oom=settings.leaves_on_oom)
    service = Service(settings, engine)
    connections: set[Connection] = set()
    gone = asyncio.Event()

    def connect() -> Connection:
        connection = Connection(service.answer, forget)
        connections.add(connection)
        if service.leaving:
            connection.serve_one()
        return connection

    def forget(connection: Connection) -> None:
        connections.discard(connection)
        gone.set()

    listener = await loop.create_server(connect, settings.host, settings.port)
    host, port = listener.sockets[0].getsockname()[:2]
    print(f"listening http://{host}:{port}", flush=True)  # noqa: T201
    running = loop.create_task(engine.run())
    if settings.leaves_on_cuda_error:
        dying = loop.create_task(engine.died.wait())
        dying.add_done_callback(lambda _: told_to_go.set())
    await told_to_go.wait()
    service.leaving = True
    running.cancel()
    if engine.failure and settings.leaves_on_cuda_error:
        await _leave(0, _LAST_WORDS, listener, connections, gone)
        return 1
    await _leave(settings.drain, settings.grace, listener, connections, gone)
    return 0


async def _leave(
    drain: float, grace: float, listener: asyncio.Server, connections: set[Connection], gone: asyncio.Event
) -> None:
    """Idle connections close now, late requests are still taken for `drain`, requests in flight have `grace`."""
    for connection in list(connections):
        connection.close_after_this()
    end = asyncio.get_running_loop().time() + grace
    await asyncio.sleep(min(drain, grace))
    listener.close()
    for connection in list(connections):
        connection.close_after_this()
    while connections and (left := end - asyncio.get_running_loop().time()) > 0:
        gone.clear()
        try:
            await asyncio.wait_for(gone.wait(), left)
        except TimeoutError:
            break
    for connection in list(connections):
        connection.reset()
