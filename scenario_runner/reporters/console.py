"""What a run shows: plain lines, or a live view where there is a terminal."""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TextIO

from scenario_runner.core.events import Event
from scenario_runner.reporters.plain_lines import PlainLines, write_plain


def console(stream: TextIO | None = None) -> Callable[[Event], None]:
    """A listener that writes to `stream` (standard output by default)."""
    target = stream or sys.stdout
    if target.isatty() or os.environ.get("FORCE_COLOR"):
        from scenario_runner.reporters.live import live_view  # rich is for terminals alone: it takes 0.1 s to import

        return live_view(target)
    return PlainLines(partial(write_plain, target))
