"""Whether cuGetProcAddress hands out the addresses that the driver exports; names come in on standard input."""

import ctypes
import re
import sys

from probe import tell

driver = ctypes.CDLL("libcuda.so.1")
driver.cuInit(0)
version = ctypes.c_int()
driver.cuDriverGetVersion(ctypes.byref(version))
counts = {"same": 0, "other": 0, "none": 0}
for name in sys.argv[1].split(","):
    wanted = re.sub(r"(_v\d+)?(_pt[ds][sz])?$", "", name)
    flags = ctypes.c_uint64(2 if name.endswith(("_ptsz", "_ptds")) else 1)
    address, status = ctypes.c_void_p(), ctypes.c_int()
    code = driver.cuGetProcAddress_v2(wanted.encode(), ctypes.byref(address), version, flags, ctypes.byref(status))
    exported = ctypes.cast(getattr(driver, name), ctypes.c_void_p).value
    counts["none" if code or not address.value else "same" if address.value == exported else "other"] += 1
tell(call="driver version", answer=str(version.value))
for name, count in counts.items():
    tell(call=name, answer=str(count))
