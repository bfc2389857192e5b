"""Writes functions.csv and versions.csv anew from the headers of one or more CUDA toolkits and NVIDIA's NVML bindings.

    python read_headers.py --nvml .../pynvml.py .../cuda-12.9/include .../cuda-13.0/include

Only facts are kept: the name of each driver function, what kind of call it is, and at which of its integer arguments
the device, the context, the stream and the size stand. Needs gcc for its preprocessor; the build needs neither this
program nor any header.
"""

import argparse
import csv
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
NOWHERE = -1

# Spellings that C programs use and the Python bindings do not.
OLDER_NVML = {
    "nvmlInit",
    "nvmlInit_v2",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByPciBusId",
    "nvmlDeviceGetPciInfo",
    "nvmlDeviceGetPciInfo_v2",
}

# The first pattern that matches decides.
CLASSES = (
    (
        "meta",
        r"cu(GetErrorString|GetErrorName|GetProcAddress\w*|GetExportTable|DriverGetVersion|CtxGetCurrent"
        r"|CtxGetDevice\w*|CtxGetId|CtxGetApiVersion|CtxPopCurrent\w*|CtxPushCurrent\w*|CtxSetCurrent|CtxGetFlags"
        r"|ThreadExchangeStreamCaptureMode|StreamIsCapturing\w*|StreamGetCaptureInfo\w*|StreamGetCtx\w*|Coredump\w*"
        r"|Logs\w*|Checkpoint\w*|Profiler\w*|ModuleGetLoadingMode)$",
    ),
    ("init", r"cuInit$"),
    ("query", r"cuDevice(Get|Can|Total|Compute)|cuFlushGPU"),
    ("context", r"cuCtx(Create|Attach)|cuDevicePrimaryCtxRetain|cuGreenCtxCreate"),
    (
        "alloc",
        r"cuMem(Alloc|Create|HostAlloc|PoolCreate)|cu(Array|Array3D|MipmappedArray)Create|cuMemMap|cuMemHostRegister"
        r"|cuMulticastCreate",
    ),
    (
        "free",
        r"cuMem(Free|Release|Unmap|HostUnregister|AddressFree)|cu\w+Destroy|cuModuleUnload|cuLibraryUnload"
        r"|cuDevicePrimaryCtxRe(lease|set)|cuCtxDetach",
    ),
    ("copy", r"cuMem(cpy|set)|cuMemPrefetch|cuMemDiscard|cuMemBatch"),
    ("stream", r"cu(LaunchHostFunc|StreamAddCallback)"),
    ("launch", r"cuLaunch|cuGraphLaunch"),
    ("sync", r"cu(CtxSynchronize|StreamSynchronize|EventSynchronize|StreamQuery|EventQuery|EventElapsedTime)"),
    ("stream", r"cu(Stream|Event|SignalExternal|WaitExternal)"),
    ("module", r"cu(Module|Library|Kernel|Link|Func)"),
    ("peer", r"cuIpc|cuMemExport|cuMemImport|cuMulticast|cuCtxEnablePeer|cuMemPool(Export|Import)"),
    ("other", r"cu"),
    ("nvml_meta", r"nvml(ErrorString|Init\w*|Shutdown|System\w*|DeviceGetHandle\w*|DeviceGetCount\w*|EventSet\w*)$"),
    ("nvml_meta", r"nvmlDeviceGet(UUID|PciInfo\w*|Index|MinorNumber)$"),
    ("nvlink", r"nvml\w*NvLink"),
    ("nvml", r"nvml"),
)


def kind_of(name: str) -> str:
    return next(kind for kind, pattern in CLASSES if re.match(pattern, name))


def prototypes(include: Path) -> dict[str, str]:
    """Name -> parameters of every driver function, the hidden older and per-thread spellings included."""
    found: dict[str, str] = {}
    for defines in ((), ("-DCUDA_API_PER_THREAD_DEFAULT_STREAM",), ("-D__CUDA_API_VERSION_INTERNAL",)):
        command = ["gcc", "-E", "-P", "-x", "c", f"-I{include}", *defines, "-"]
        # cudaProfiler.h is not in every package of headers; what it declares is known
        source = "#include <cuda.h>\n"
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)  # noqa: S603 - our own
        text = " ".join(done.stdout.split())
        pattern = r"CUresult (?:__attribute__\S+ )?(cu[A-Z]\w*)\s*\(([^;{}]*?)\);"
        found |= {match[1]: match[2] for match in re.finditer(pattern, text)}
    return found | {"cuProfilerStart": "void", "cuProfilerStop": "void"}


def position(parameters: str, wanted: str) -> int:
    """At which integer argument the first parameter of type `wanted` is; floats travel in other registers."""
    at = 0
    for parameter in (one.strip() for one in parameters.split(",")):
        kind = parameter if parameter.endswith("*") else re.sub(r"\b\w+(\[\d*\])?$", "", parameter).strip()
        if re.match(r"(float|double)\b", kind) and "*" not in kind:
            continue
        if kind == wanted:
            return at
        at += 1
    return NOWHERE


def driver_row(name: str, parameters: str) -> list[object]:
    kind = kind_of(name)
    device = position(parameters, "CUdevice")
    if name == "cuDeviceGet":
        device = 1  # the ordinal
    # of a pitched allocation that is the width of a row; arrays and pools have theirs in a descriptor
    size = position(parameters, "size_t") if kind in ("alloc", "copy") else NOWHERE
    return [name, kind, device, position(parameters, "CUcontext"), position(parameters, "CUstream"), size]


def nvml_row(name: str) -> list[object]:
    handle = 0 if name.startswith("nvmlDevice") else NOWHERE
    return [name, kind_of(name), handle, NOWHERE, NOWHERE, NOWHERE]


def nvml_names(bindings: Path) -> set[str]:
    """Of every function that the Python bindings know, and of those that only C programs use."""
    found = re.findall(r'_nvmlGetFunctionPointer\("(nvml\w+)"\)', bindings.read_text(encoding="utf-8"))
    return set(found) | OLDER_NVML


def version_rows(include: Path, names: Iterable[str]) -> set[tuple[str, int, int, str]]:
    """(name to ask for, since which CUDA version, per-thread or not, function that is answered)."""
    known = set(names)
    text = (include / "cudaTypedefs.h").read_text() + (include / "cudaProfilerTypedefs.h").read_text()
    versions: dict[tuple[str, str], set[int]] = {}
    for match in re.finditer(r"PFN_(cu\w+?)_v(\d+)(_pt[ds][sz])?\)\(", text):
        versions.setdefault((match[1], match[3] or ""), set()).add(int(match[2]))
    rows = set()
    for (base, per_thread), numbers in versions.items():
        for nth, number in enumerate(sorted(numbers), start=1):
            # the first version has no suffix, later ones _v2, _v3; some functions begin with _v2
            usual = "" if nth == 1 else f"_v{nth}"
            spellings = (base + suffix + per_thread for suffix in (usual, "_v2", "_v3", "_v4", ""))
            spelling = next((one for one in spellings if one in known), None)
            if spelling is not None:
                rows.add((base, number, int(bool(per_thread)), spelling))
    return rows


def write(name: str, head: list[str], rows: Iterable[Iterable[object]]) -> None:
    with (HERE / name).open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--nvml", type=Path, required=True)
    arguments.add_argument("includes", type=Path, nargs="+", metavar="INCLUDE")
    given = arguments.parse_args()
    driver: dict[str, str] = {}
    for include in given.includes:
        driver |= prototypes(include)
    rows = [driver_row(name, driver[name]) for name in sorted(driver)]
    rows += [nvml_row(name) for name in sorted(nvml_names(given.nvml))]
    write("functions.csv", ["name", "class", "device", "context", "stream", "bytes"], rows)
    versions = set().union(*(version_rows(include, driver) for include in given.includes))
    write("versions.csv", ["asked", "since", "per_thread", "function"], sorted(versions))


if __name__ == "__main__":
    main()
