"""Which labs run: by the files that they keep, and by their processes where the files do not say."""

from pathlib import Path

from scenario_runner.errors import Refused
from scenario_runner.lab.ending import bury
from scenario_runner.lab.layout import Layout, labs_folder
from scenario_runner.lab.options import LabInfo, LabOptions, Order, read_info, read_order
from scenario_runner.lab.processes import lab_of, marked


def find(name: str, folder: Path | None = None) -> LabInfo | None:
    """
    The lab of this name if it runs. What a lab that died with its whole family left behind is cleared away.

    Raise Refused for a lab that runs and does not say (yet) where.
    """
    layout = Layout((folder or labs_folder()) / name)
    order = order_of(layout)
    if order is None:
        return None
    if not marked(order.lab_id):
        bury(order, layout)
        return None
    try:
        return read_info(layout.info.read_text())
    except FileNotFoundError as error:
        raise Refused(f"Lab {name} is being started or ended by somebody else right now.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"Lab {name} runs, and {layout.info} can not be read: it is damaged, or of another version of this program."
            f" Repair it, or end the lab with `scenario-runner lab down --lab-name {name}`."
        ) from error


def order_of(layout: Layout) -> Order | None:
    """How the lab in a folder was ordered, if need be as far as its processes tell; None if there is no lab."""
    try:
        return read_order(layout)
    except (OSError, ValueError, KeyError, TypeError):
        lab_id = lab_of(layout.root)
        return Order(LabOptions(), lab_id, str(layout.root / "control.sock")) if lab_id else None


def is_gone(kubeconfig: Path) -> bool:
    """
    Whether the lab that this kubeconfig belongs to has ended, and everything in it.

    A file that is missing proves nothing as long as a process of the lab lives; without any, files prove nothing.
    """
    order = order_of(Layout(kubeconfig.parent))
    return not kubeconfig.exists() if order is None else not marked(order.lab_id)
