"""What the kernel knows about a connection: whether the other side ended it, and how much of ours it received."""

import socket
import struct
import sys
from dataclasses import dataclass

_ESTABLISHED = 1
_BYTES_ACKED = 120  # offset of tcpi_bytes_acked in Linux' struct tcp_info
_SIZE = 128


@dataclass(frozen=True)
class Look:
    """One look at a connection."""

    open: bool  # neither side has ended it
    acknowledged: int  # bytes of ours that the other side's kernel took for an open socket; -1: not known here


def look(connection: socket.socket) -> Look:
    """Ask the kernel, in about a microsecond."""
    if sys.platform != "linux":
        return Look(open=True, acknowledged=-1)
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return Look(open=False, acknowledged=-1)
    if len(info) < _SIZE:
        return Look(open=info[0] == _ESTABLISHED, acknowledged=-1)
    return Look(open=info[0] == _ESTABLISHED, acknowledged=struct.unpack_from("<Q", info, _BYTES_ACKED)[0])
