"""Moments in the forms that the Kubernetes API wants."""

from datetime import UTC, datetime


def now() -> str:
    """Whole seconds."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def now_micro() -> str:
    """Microseconds, as leases have them."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
