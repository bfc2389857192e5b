"""Makes a lab be gone: every process, then every file."""

import shutil
from collections.abc import Callable
from pathlib import Path

from scenario_runner.lab.layout import Layout
from scenario_runner.lab.options import Order, read_order
from scenario_runner.lab.processes import end_all, lab_of, marked

_GRACE = 1.0  # seconds between TERM and KILL


def bury(
    order: Order,
    layout: Layout,
    spare: frozenset[int] = frozenset(),
    also: Callable[[], set[int]] = set,
    reap: Callable[[], None] = lambda: None,
) -> None:
    """End all processes of the lab but `spare` (and those that `also` names), and remove its files. Safe twice."""
    end_all(lambda: (marked(order.lab_id) | also()) - spare, _GRACE, reap)
    remove_files(order, layout)


def remove_files(order: Order, layout: Layout) -> None:
    """Only if the folder is still this lab's: a new lab of the same name may have taken its place."""
    control = Path(order.control)
    if control.parent != layout.root:
        shutil.rmtree(control.parent, ignore_errors=True)
    if layout.root.exists() and _owner(layout) in {order.lab_id, ""}:
        # Renamed first, so that nobody finds half a lab.
        grave = layout.root.with_name(f".{layout.root.name}.{order.lab_id}")
        layout.root.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)


def _owner(layout: Layout) -> str:
    """The id of the lab whose folder it is; "" where no file and no process says so."""
    try:
        return read_order(layout).lab_id
    except (OSError, ValueError, KeyError, TypeError):
        return lab_of(layout.root)
