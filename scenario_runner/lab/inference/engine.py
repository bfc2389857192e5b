"""The "model": loads for a while, then produces one token after the other. Calls into the GPU belong here only."""

import asyncio
import zlib
from collections.abc import AsyncIterator

_WORDS = ("the", "model", "answers", "one", "word", "after", "another", "and", "each", "takes", "its", "time")


class Engine:
    """One model on one GPU. `startup` and `token` are seconds."""

    def __init__(self, startup: float, token: float) -> None:
        self._startup = startup
        self._token = token
        self.loaded = False

    async def load(self) -> None:
        await asyncio.sleep(self._startup)
        self.loaded = True

    async def tokens(self, prompt: str, limit: int) -> AsyncIterator[str]:
        """Exactly `limit` words that depend on nothing but the prompt."""
        first = zlib.crc32(prompt.encode())
        for number in range(limit):
            await asyncio.sleep(self._token)
            yield ("" if number == 0 else " ") + _WORDS[(first + number) % len(_WORDS)]
