"""
What each driver call answers after a kernel that failed: `illegal` writes to address 8, `trap` traps, `fine` does
nothing. Run without the library it is the real thing, run with it and `fine` it shows what the library makes of it.
"""

import ctypes as c
import sys

import cuda
from cuda import PTX, context, cu, launch
from probe import tell

other, stream, event = c.c_void_p(), c.c_void_p(), c.c_void_p()
memory, more, number, size, host = c.c_uint64(), c.c_uint64(), c.c_int(), c.c_size_t(), c.create_string_buffer(64)


def small():
    return c.c_size_t(64)


def alloc_after_reset():
    cu.cuCtxSetCurrent(other)
    return cu.cuMemAlloc_v2(c.byref(more), small())


cuda.start()
failing, fine = cuda.kernel(sys.argv[1]), cuda.kernel("fine")
cuda.must(cu.cuMemAlloc_v2(c.byref(memory), c.c_size_t(4096)))
cuda.must(cu.cuStreamCreate(c.byref(stream), 0))
cuda.must(cu.cuEventCreate(c.byref(event), 0))
cuda.must(cu.cuEventRecord(event, stream))
CALLS = (
    ("launch", lambda: launch(failing, stream)),
    ("first wait", lambda: cu.cuStreamSynchronize(stream)),
    ("cuCtxSynchronize", cu.cuCtxSynchronize),
    ("cuStreamQuery", lambda: cu.cuStreamQuery(stream)),
    ("cuEventQuery", lambda: cu.cuEventQuery(event)),
    ("cuMemAlloc", lambda: cu.cuMemAlloc_v2(c.byref(more), small())),
    ("cuMemcpyHtoD", lambda: cu.cuMemcpyHtoD_v2(memory, host, c.c_size_t(4))),
    ("cuMemFree", lambda: cu.cuMemFree_v2(memory)),
    ("cuLaunchKernel", lambda: launch(fine, stream)),
    ("cuModuleLoadData", lambda: cu.cuModuleLoadData(c.byref(other), PTX)),
    ("cuStreamCreate", lambda: cu.cuStreamCreate(c.byref(other), 0)),
    ("cuEventCreate", lambda: cu.cuEventCreate(c.byref(other), 0)),
    ("cuEventRecord", lambda: cu.cuEventRecord(event, stream)),
    ("cuMemGetInfo", lambda: cu.cuMemGetInfo_v2(c.byref(size), c.byref(size))),
    ("cuMemHostAlloc", lambda: cu.cuMemHostAlloc(c.byref(other), small(), 0)),
    ("cuCtxGetDevice", lambda: cu.cuCtxGetDevice(c.byref(number))),
    ("cuCtxGetCurrent", lambda: cu.cuCtxGetCurrent(c.byref(other))),
    ("cuCtxSetCurrent", lambda: cu.cuCtxSetCurrent(context)),
    ("cuCtxGetLimit", lambda: cu.cuCtxGetLimit(c.byref(size), 0)),
    ("cuDeviceGetCount", lambda: cu.cuDeviceGetCount(c.byref(number))),
    ("cuDeviceGetAttribute", lambda: cu.cuDeviceGetAttribute(c.byref(number), 75, 0)),
    ("cuDeviceTotalMem", lambda: cu.cuDeviceTotalMem_v2(c.byref(size), 0)),
    ("cuDriverGetVersion", lambda: cu.cuDriverGetVersion(c.byref(number))),
    ("cuInit", lambda: cu.cuInit(0)),
    ("cuStreamDestroy", lambda: cu.cuStreamDestroy_v2(stream)),
    ("cuEventDestroy", lambda: cu.cuEventDestroy_v2(event)),
    ("cuDevicePrimaryCtxRetain", lambda: cu.cuDevicePrimaryCtxRetain(c.byref(other), 0)),
    ("cuDevicePrimaryCtxReset", lambda: cu.cuDevicePrimaryCtxReset_v2(0)),
    ("retain after the reset", lambda: cu.cuDevicePrimaryCtxRetain(c.byref(other), 0)),
    ("alloc after the reset", alloc_after_reset),
)
for name, call in CALLS:
    tell(call=name, answer=str(call()))
