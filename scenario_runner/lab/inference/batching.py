"""The thread that owns the GPU: it steps all sequences that wait, and may hang without hanging the server."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence

from scenario_runner.lab.inference.cuda import CudaError
from scenario_runner.lab.inference.gpu import Gpu

Waiting = asyncio.Future[None]


class Batching:
    """Made and asked in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Waiting] = queue.SimpleQueue()

    def attach(self) -> Waiting:
        """Find the GPU and put the model there. Raises CudaError, and OSError where there is no driver."""
        attached: Waiting = self._loop.create_future()
        # A daemon: a call into a broken GPU may never come back, and must not keep the process.
        threading.Thread(target=self._run, args=(attached,), name="gpu", daemon=True).start()
        return attached

    def token(self) -> Waiting:
        """One more token of one sequence, together with all others that wait. Raises CudaError."""
        future: Waiting = self._loop.create_future()
        self._waiting.put(future)
        return future

    def _run(self, attached: Waiting) -> None:
        try:
            gpu = Gpu()
            print(f"GPU {gpu.uuid}, {gpu.count} visible", flush=True)  # noqa: T201
            gpu.load()
        except (CudaError, OSError) as error:
            self._settle([attached], [error])
            return
        self._settle([attached], [None])
        while True:
            batch = self._next_batch()
            self._settle(batch, _step(gpu, len(batch)))

    def _next_batch(self) -> list[Waiting]:
        batch = [self._waiting.get()]
        while not self._waiting.empty():
            batch.append(self._waiting.get())
        return [one for one in batch if not one.cancelled()]

    def _settle(self, batch: list[Waiting], errors: Sequence[Exception | None]) -> None:
        def tell() -> None:
            for future, error in zip(batch, errors, strict=True):
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(tell)


def _step(gpu: Gpu, sequences: int) -> Sequence[CudaError | None]:
    """An error that is not the want of memory of one sequence meets all of them."""
    try:
        return gpu.step(sequences)
    except CudaError as error:
        return [error] * sequences
