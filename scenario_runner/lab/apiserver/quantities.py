"""Kubernetes quantities: numbers with units."""

from collections.abc import Mapping

_SUFFIXES: Mapping[str, float] = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip


def quantity(value: str | float) -> float:
    """Read a Kubernetes quantity: `500m`, `1Gi`, `8`, 8."""
    text = str(value)
    digits = text.rstrip("numkMGTPKi")
    return float(digits) * _SUFFIXES.get(text[len(digits) :], 1.0)
