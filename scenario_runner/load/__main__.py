"""`python -m scenario_runner.load`: reads an order from stdin and sends records to stdout (see `protocol`)."""

import asyncio
import gc
import os
import resource
import sys
import traceback
from contextlib import suppress
from typing import Any, cast

from scenario_runner.load.protocol import STOP, Encoder, decode_order
from scenario_runner.load.worker import Worker

_DONE, _WRONG, _UNHEARD = 0, 2, 3  # exit codes: as ordered; a wrong order or a defect; nobody reads
_MOST_UNREAD = 64 * 2**20  # bytes that the parent may leave unread
_FAREWELL = 1.0  # seconds that the last records have to get out


class Ears(asyncio.Protocol):
    """Hears the parent: the order first, `stop` later, and its end."""

    def __init__(self, voice: "Voice") -> None:
        self._voice = voice
        self._worker: Worker | None = None
        self._heard = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._hear(line)

    def eof_received(self) -> None:
        """The parent went, or wants an end at once."""
        if self._worker is not None:
            self._worker.finish()
        self._voice.fall_silent(_DONE)

    def _hear(self, line: bytes) -> None:
        if self._worker is None:
            try:
                self._worker = Worker(decode_order(line), self._voice.say, self._done)
            except ValueError as error:
                self._voice.complain(f"the load worker can not carry out its order: {error}")
                return
            self._worker.begin()
        elif line == STOP.strip():
            self._worker.stop()

    def _done(self) -> None:
        assert self._worker is not None
        self._worker.finish()
        self._voice.fall_silent(_DONE)


class Voice(asyncio.Protocol):
    """Tells the parent. `silent` is the exit code once there is no more to say."""

    def __init__(self) -> None:
        self.silent: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()  # the last byte is out, or nobody reads any more
        self._out: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast(asyncio.WriteTransport, transport)  # uvloop's transports are not asyncio's by class

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()
        self.fall_silent(_UNHEARD)

    def say(self, records: bytes) -> None:
        if self._out is None or self._out.is_closing():
            return
        self._out.write(records)
        if self._out.get_write_buffer_size() > _MOST_UNREAD:
            self.fall_silent(_UNHEARD)

    def complain(self, sentence: str) -> None:
        """What makes the whole load worthless."""
        self.say(Encoder().trouble(sentence))
        self.fall_silent(_WRONG)

    def fall_silent(self, code: int) -> None:
        if not self.silent.done():
            self.silent.set_result(code)
        if self._out is not None:
            self._out.close()


async def main() -> int:
    """Carry one order out; the exit code."""
    with suppress(PermissionError):  # whoever may, gets out of the way of a busy machine
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    loop = asyncio.get_running_loop()
    voice = Voice()
    loop.set_exception_handler(lambda _, context: _defect(voice, context))
    await loop.connect_write_pipe(lambda: voice, sys.stdout)
    await loop.connect_read_pipe(lambda: Ears(voice), sys.stdin)
    code = await voice.silent
    try:
        await asyncio.wait_for(voice.gone.wait(), _FAREWELL)
    except TimeoutError:
        return _UNHEARD
    return code


def _defect(voice: Voice, context: dict[str, Any]) -> None:
    """An error that nothing in here expected: the load can not be trusted any more."""
    error = context.get("exception")
    if isinstance(error, BaseException) and not voice.silent.done():  # the first one tells the most
        traceback.print_exception(error)
    voice.complain(f"the load worker met a defect: {error or context.get('message')!r}")


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on Windows; everything works without, at two thirds of the pace
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    _allow_many_files()
    gc.freeze()  # what is here stays: no collection needs to look at it while requests are due
    code = _new_loop().run_until_complete(main())
    os._exit(code)  # a thread that looks up a name may hang for a minute; nobody needs to wait for it
