"""What a fake keeps beyond its process, and the moments at which a process may die."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Kept:
    """What outlives a process: in memory, or in a file that is replaced at each change."""

    path: Path | None = None
    content: dict[str, Any] = field(default_factory=dict)

    def load(self) -> dict[str, Any]:
        if not self.content and self.path is not None and self.path.exists():
            self.content = json.loads(self.path.read_text())
        return self.content

    def save(self) -> None:
        if self.path is not None:
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.content))
            new.replace(self.path)


@contextmanager
def no_crash(what: str) -> Iterator[None]:
    del what
    yield
