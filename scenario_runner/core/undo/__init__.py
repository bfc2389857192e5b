"""
The few kinds of undo, one module each, found by looking into this package: UNDOS maps a kind to its class.

An undo is data first: a journal of an earlier version must still be readable, so fields are only ever added.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from scenario_runner.core.step import Undo


def _discover() -> Mapping[str, type[Undo]]:
    found: dict[str, type[Undo]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Undo) and cls.__module__ == module.__name__:
                found[info.name] = cls
    return MappingProxyType(found)


UNDOS: Mapping[str, type[Undo]] = _discover()
