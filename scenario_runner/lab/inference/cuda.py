"""The CUDA driver API by ctypes, as far as an engine needs it."""

import ctypes

OUT_OF_MEMORY = 2


class CudaError(Exception):
    """A call answered something else than success; `code` is the CUresult."""

    def __init__(self, code: int, function: str, meaning: str) -> None:
        super().__init__(f"CUDA error {code} ({meaning}) in {function}")
        self.code = code


class Cuda:
    """The driver of this machine or container; raises OSError when there is none."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def call(self, function: str, *arguments: object) -> None:
        """Arguments are ctypes values, as a plain number would be passed as an int. Raises CudaError."""
        code = getattr(self._library, function)(*arguments)
        if code != 0:
            raise CudaError(code, function, self._meaning(code))

    def _meaning(self, code: int) -> str:
        text = ctypes.c_char_p()
        self._library.cuGetErrorString(code, ctypes.byref(text))
        return (text.value or b"unknown error").decode()
