"""The "model": loads for a while, then produces one token after the other, on a GPU if it was given one."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator

from scenario_runner.lab.inference.batching import Batching
from scenario_runner.lab.inference.cuda import OUT_OF_MEMORY, CudaError

_WORDS = ("the", "model", "answers", "one", "word", "after", "another", "and", "each", "takes", "its", "time")


class NoToken(Exception):
    """The next token can not be had; `is_passing` if another request may fare better."""

    def __init__(self, message: str, *, is_passing: bool) -> None:
        super().__init__(message)
        self.is_passing = is_passing


_WITHOUT_GPU = "model loaded without a GPU that CUDA knows: no CUDA fault can hit this engine"
_IDLE_STEP = 0.1  # seconds; the load may leave an engine alone for long, and its GPU shall not break unseen


class Engine:
    """One model. `startup` and `token` are seconds; `died` is set when it can not go on, and `failure` says why."""

    def __init__(self, startup: float, token: float, gpu: Batching | None = None, *, dies_of_oom: bool = False) -> None:
        self._startup = startup
        self._token = token
        self._gpu = gpu
        self._dies_of_oom = dies_of_oom
        self.loaded = False
        self.failure = ""
        self.died = asyncio.Event()

    async def run(self) -> None:
        """Load the model, then run empty batches as engines do that have to keep step with others."""
        await self.load()
        while self._gpu is not None and not self.failure:
            await asyncio.sleep(_IDLE_STEP)
            with contextlib.suppress(NoToken):
                await self._next()

    async def load(self) -> None:
        """Take the GPU, load, and warm up; without enough memory for the model it dies as of any other error."""
        try:
            if self._gpu is not None:
                await self._gpu.attach()
            await asyncio.sleep(self._startup)
            if self._gpu is not None:
                await self._gpu.token()
        except (CudaError, OSError) as error:
            self._die(str(error))
        else:
            self.loaded = True
            print("model loaded" if self._gpu else _WITHOUT_GPU, flush=True)  # noqa: T201 - the container's log

    async def tokens(self, prompt: str, limit: int) -> AsyncIterator[str]:
        """Exactly `limit` words that depend on nothing but the prompt. Raises NoToken."""
        first = zlib.crc32(prompt.encode())
        for number in range(limit):
            await asyncio.sleep(self._token)
            await self._next()
            yield ("" if number == 0 else " ") + _WORDS[(first + number) % len(_WORDS)]

    async def _next(self) -> None:
        if self._gpu is None:
            return
        try:
            await self._gpu.token()
        except CudaError as error:
            if error.code == OUT_OF_MEMORY and not self._dies_of_oom:
                raise NoToken(str(error), is_passing=True) from None
            self._die(str(error))
            raise NoToken(str(error), is_passing=False) from None

    def _die(self, why: str) -> None:
        if not self.failure:
            print(f"{why}; the engine is dead", flush=True)  # noqa: T201
        self.failure = self.failure or why
        self.died.set()
