"""Kubeconfigs as text, for tests of access."""

import json
from pathlib import Path
from typing import Any


def kubeconfig(path: Path, *, current: str = "", **contexts: dict[str, Any]) -> Path:
    """A file with contexts that each have a cluster and a user of the same name: {"cluster": {...}, "user": {...}}."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current or next(iter(contexts), ""),
        "clusters": [{"name": name, "cluster": one["cluster"]} for name, one in contexts.items()],
        "users": [{"name": name, "user": one.get("user", {})} for name, one in contexts.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def at(server: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    """One context."""
    return {"cluster": {"server": server, **cluster}, "user": user or {}}
