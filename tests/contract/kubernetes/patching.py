"""Putting two pieces of JSON together."""

from typing import Any

from tests.contract.kubernetes.server import Json


def deep(below: Any, above: Json) -> Json:
    """Mappings are merged, everything else is taken from above; null stays null."""
    result = dict(below) if isinstance(below, dict) else {}
    for name, value in above.items():
        result[name] = deep(result.get(name), value) if isinstance(value, dict) and value else value
    return result
