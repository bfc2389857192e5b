"""A model on a GPU: what an engine asks of the CUDA driver when it starts and with each token."""

import ctypes
import uuid

from scenario_runner.lab.inference.cuda import OUT_OF_MEMORY, Cuda, CudaError

_WEIGHTS = 256 << 20  # bytes that the model takes
_WORKSPACE = 4096  # bytes of each sequence in a step
# A kernel in the driver's own assembly language, which does nothing.
_MODULE = b".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry step()\n{\nret;\n}\n"


class Gpu:
    """Belongs to the thread that made it, as a CUDA context does. Every call may raise CudaError."""

    def __init__(self) -> None:
        """Take the first GPU that this process sees. Raises OSError where there is no driver."""
        self._cuda = Cuda()
        self._stream = ctypes.c_void_p()
        self._kernel = ctypes.c_void_p()
        self._weights = ctypes.c_uint64()
        self._input = ctypes.create_string_buffer(_WORKSPACE)
        self._cuda.call("cuInit", 0)
        self.count = self._count()
        self.uuid = self._take()

    def _count(self) -> int:
        count = ctypes.c_int()
        self._cuda.call("cuDeviceGetCount", ctypes.byref(count))
        return count.value

    def _take(self) -> str:
        call, device, context = self._cuda.call, ctypes.c_int(), ctypes.c_void_p()
        name = ctypes.create_string_buffer(16)
        call("cuDeviceGet", ctypes.byref(device), 0)
        call("cuDeviceGetUuid_v2", name, device)
        call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        call("cuCtxSetCurrent", context)
        call("cuStreamCreate", ctypes.byref(self._stream), 0)
        return f"GPU-{uuid.UUID(bytes=name.raw)}"

    def load(self) -> None:
        """Put the model there: its weights and its kernel."""
        call, module = self._cuda.call, ctypes.c_void_p()
        call("cuMemAlloc_v2", ctypes.byref(self._weights), ctypes.c_size_t(_WEIGHTS))
        call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(_MODULE))
        call("cuModuleGetFunction", ctypes.byref(self._kernel), module, ctypes.c_char_p(b"step"))

    def step(self, sequences: int) -> list[CudaError | None]:
        """One token for each sequence, in one launch; a sequence that gets no memory fails alone."""
        blocks = [self._allocate() for _ in range(sequences)]
        taken = [block for block in blocks if not isinstance(block, CudaError)]
        for block in taken:
            self._cuda.call("cuMemcpyHtoD_v2", block, self._input, ctypes.c_size_t(_WORKSPACE))
        if taken:
            self._launch()
        for block in taken:
            self._cuda.call("cuMemFree_v2", block)
        return [block if isinstance(block, CudaError) else None for block in blocks]

    def _allocate(self) -> ctypes.c_uint64 | CudaError:
        block = ctypes.c_uint64()
        try:
            self._cuda.call("cuMemAlloc_v2", ctypes.byref(block), ctypes.c_size_t(_WORKSPACE))
        except CudaError as error:
            if error.code != OUT_OF_MEMORY:
                raise
            return error
        return block

    def _launch(self) -> None:
        one_thread = (1, 1, 1, 1, 1, 1, 0)
        self._cuda.call("cuLaunchKernel", self._kernel, *one_thread, self._stream, None, None)
        self._cuda.call("cuStreamSynchronize", self._stream)
