"""What a process of the lab says: lines on standard output, which is its log."""

from datetime import UTC, datetime


def say(text: str) -> None:
    """One line with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S.%f} {text}", flush=True)  # noqa: T201 - the component's log


def say_ready(url: str = "") -> None:
    """The line that whoever started the process waits for."""
    print(f"ready {url}".strip(), flush=True)  # noqa: T201 - read by the keeper
