"""
Every kind of step, one module each; the module's name is the kind, its one Step class the rest.

A new file is all that a new kind takes: the scenario's schema, the reference and the conformance tests read STEPS,
which is built once from the package's own files.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from scenario_runner.core.step import Step


def kind_of(module: ModuleType) -> type[Step]:
    """The one Step class that a module defines; TypeError for none or several."""
    own = [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Step) and cls.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise TypeError(f"{module.__name__} must define exactly one Step, not {[cls.__name__ for cls in own]}")
    return own[0]


def _discover() -> Mapping[str, type[Step]]:
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return MappingProxyType({name: kind_of(importlib.import_module(f"{__name__}.{name}")) for name in names})


STEPS: Mapping[str, type[Step]] = _discover()
