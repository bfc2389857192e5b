"""A program that uses CUDA: `cuda_client.py ORDINAL [--child]` waits for a GPU again and again, telling new answers."""

import ctypes
import subprocess
import sys
import time


def main(ordinal: str, *options: str) -> None:
    """Until it is killed; with `--child` a second one runs below it, and dies with it."""
    child = subprocess.Popen([sys.executable, __file__, ordinal], stdout=subprocess.DEVNULL) if options else None
    driver = ctypes.CDLL("libcuda.so.1")
    context, device = ctypes.c_void_p(), ctypes.c_int()
    answers = [driver.cuInit(0), driver.cuDeviceGet(ctypes.byref(device), int(ordinal))]
    answers.append(driver.cuCtxCreate_v2(ctypes.byref(context), 0, device))
    assert answers == [0, 0, 0], answers
    if child is not None:
        print(f"child {child.pid}", flush=True)
    before = None
    while True:
        code = driver.cuCtxSynchronize()
        if code != before:
            print(code, flush=True)
            before = code
        time.sleep(0.005)


if __name__ == "__main__":
    main(*sys.argv[1:])
