"""The way in: listens on the machine's loopback device and passes every connection on into the cluster's network."""

import asyncio
import ctypes
import socket
import sys
from contextlib import suppress
from pathlib import Path

from tests.e2e.place import API_PORT, BRIDGE_ADDRESS

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_CHUNK = 1 << 16


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inner_reader, inner_writer = await asyncio.wait_for(asyncio.open_connection(BRIDGE_ADDRESS, API_PORT), 5)
    except (OSError, TimeoutError):
        writer.close()
        return
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
    inner_writer.close()
    writer.close()


async def _serve(listener: socket.socket) -> None:
    async with await asyncio.start_server(_pass_on, sock=listener) as server:
        await server.serve_forever()


def main(namespace: str, port_file: str) -> None:
    """Write the port to `port_file`, then serve until killed."""
    listener = socket.create_server(("127.0.0.1", 0))  # stays where it was made
    with Path("/run/netns", namespace).open() as inside:  # sockets made from now on belong there
        if ctypes.CDLL(None, use_errno=True).setns(inside.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    draft = Path(f"{port_file}.new")
    draft.write_text(str(listener.getsockname()[1]))
    draft.replace(port_file)
    asyncio.run(_serve(listener))


if __name__ == "__main__":
    main(*sys.argv[1:])
