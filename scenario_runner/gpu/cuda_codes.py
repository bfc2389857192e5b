"""The errors that CUDA's driver answers, by number and by name: what a scenario may let calls fail with."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

# CUresult, as its header numbers it; those that a program can bring about by mistake alone are left out.
CODES: Mapping[int, str] = MappingProxyType(
    {
        2: "out-of-memory",
        3: "not-initialized",
        46: "device-unavailable",
        100: "no-device",
        101: "invalid-device",
        201: "invalid-context",
        214: "ecc-uncorrectable",
        220: "nvlink-uncorrectable",
        226: "contained",
        304: "operating-system",
        700: "illegal-address",
        701: "launch-out-of-resources",
        702: "launch-timeout",
        709: "context-is-destroyed",
        710: "assert",
        714: "hardware-stack-error",
        715: "illegal-instruction",
        716: "misaligned-address",
        717: "invalid-address-space",
        718: "invalid-pc",
        719: "launch-failed",
        800: "not-permitted",
        801: "not-supported",
        802: "system-not-ready",
        803: "system-driver-mismatch",
        911: "external-device",
        999: "unknown",
    }
)


def cuda_code(wanted: int | str) -> int:
    """The number of an error: itself, or of a name in any spelling ("CUDA_ERROR_LAUNCH_FAILED"); ValueError."""
    name = str(wanted).lower().replace("_", "-").removeprefix("cuda-error-")
    for number, known in CODES.items():
        if name in {known, str(number)}:
            return number
    close = get_close_matches(name, [*CODES.values(), *map(str, CODES)], 1)
    every = ", ".join(f"{number} ({known})" for number, known in CODES.items())
    raise ValueError(
        f"CUDA has no error {wanted}: " + (f"did you mean {close[0]}?" if close else f"take one of {every}")
    )
