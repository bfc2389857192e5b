"""The name of the first GPU and the version of the driver, as CUDA tells them."""

import ctypes

from probe import tell

cu = ctypes.CDLL("libcuda.so.1")
cu.cuInit(0)
name, version, device = ctypes.create_string_buffer(100), ctypes.c_int(), ctypes.c_int()
cu.cuDeviceGet(ctypes.byref(device), 0)
cu.cuDeviceGetName(name, 100, device)
cu.cuDriverGetVersion(ctypes.byref(version))
tell(call="name", answer=name.value.decode())
tell(call="driver", answer=f"{version.value // 1000}.{version.value % 1000 // 10}")
