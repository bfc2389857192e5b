"""Starts, finds and ends labs: the door through which the rest of the product meets them."""

import json
import os
import re
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from scenario_runner.errors import Refused, ScenarioRunnerError, TargetUnreachable
from scenario_runner.lab import control
from scenario_runner.lab.driver import find_driver
from scenario_runner.lab.ending import bury
from scenario_runner.lab.finding import find, is_gone, order_of
from scenario_runner.lab.kernel_log_guard import why_not_real
from scenario_runner.lab.layout import Layout, labs_folder
from scenario_runner.lab.options import LabInfo, LabOptions, Order, read_info
from scenario_runner.lab.processes import LAB_MARK, marked

__all__ = ["Lab", "LabInfo", "LabOptions", "LabStatus", "down", "find", "is_gone", "status", "up"]

_UP_LIMIT = 120.0  # seconds
_DOWN_LIMIT = 10.0


@dataclass(frozen=True)
class ComponentStatus:
    """One process of a lab; `state` is starting, up, down or done."""

    name: str
    pid: int
    state: str
    restarts: int


@dataclass(frozen=True)
class LabStatus:
    """All processes of a lab that the keeper started."""

    components: tuple[ComponentStatus, ...]


class Lab:
    """A running lab. An owned one ends with its context, and with this process however that ends."""

    def __init__(self, info: LabInfo, keeper: "subprocess.Popen[str]", owner: int | None) -> None:
        self.info = info
        self._keeper = keeper
        self._owner = owner

    @property
    def is_owned(self) -> bool:
        return self._owner is not None

    def close(self) -> None:
        """End the lab if it is owned; returns when nothing is left of it. Safe twice."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None
            _wait_until_gone(self.info.lab_id, Layout(Path(self.info.state_dir)))
            self._keeper.wait()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def up(options: LabOptions, *, owned: bool, folder: Path | None = None) -> Lab:
    """
    Start a lab and wait until it serves; its files go to `folder`/NAME (default: the user's state folder).

    An owned lab dies with this process; another one lives until `down`. Raises Refused (not Linux, the name is taken,
    the real kernel log must be left alone) or TargetUnreachable with the end of the log of what failed.
    """
    _check(options)
    order, layout = _claim_name(options, folder or labs_folder())
    reading, owner = os.pipe()
    try:
        keeper = _start_keeper(order, layout, reading, "owned" if owned else "kept")
    finally:
        os.close(reading)
    try:
        info = _await_word(keeper, layout)
        if not owned:
            os.write(owner, b"keep")
            keeper.wait()  # only its first process, which has ended
    except BaseException:
        os.close(owner)
        _wait_until_gone(order.lab_id, layout)
        keeper.wait()
        raise
    if owned:
        return Lab(info, keeper, owner)
    os.close(owner)
    return Lab(info, keeper, None)


def status(info: LabInfo) -> LabStatus:
    """Raises TargetUnreachable if the lab does not run."""
    document = json.loads(control.ask(Path(info.control), "status"))
    return LabStatus(tuple(ComponentStatus(**row) for row in document["components"]))


def down(info: LabInfo) -> None:
    """End a lab; returns when no process and no file of it is left. Safe twice."""
    _end(Path(info.control), info.lab_id, Layout(Path(info.state_dir)))


def down_named(name: str) -> bool:
    """End the lab of this name, also one that another version of this program started; False if there is none."""
    layout = Layout(labs_folder() / name)
    order = order_of(layout)
    if order is None:
        return False
    _end(Path(order.control), order.lab_id, layout)
    return True


def _end(keeper: Path, lab_id: str, layout: Layout) -> None:
    try:
        control.ask(keeper, "down")
    except ScenarioRunnerError:  # no keeper any more: its remains are cleared away below
        bury_remains(lab_id, layout)
    _wait_until_gone(lab_id, layout)


def bury_remains(lab_id: str, layout: Layout) -> None:
    """End what is marked with the id and remove its files, without a keeper."""
    order = order_of(layout) or Order(LabOptions(), lab_id, str(layout.root / "control.sock"))
    if order.lab_id == lab_id:
        bury(order, layout)


def _check(options: LabOptions) -> None:
    if sys.platform != "linux":
        raise Refused(f"A lab needs Linux, this is {sys.platform}; lint, plan, schema and steps work everywhere.")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", options.name):
        raise Refused(f"{options.name!r} is no name for a lab: use up to 32 lower case letters, digits and dashes.")
    if options.kernel_log == "real" and (why := why_not_real()):
        raise Refused(f"The lab must not use the real kernel log. {why} Use --kernel-log file.")


def _claim_name(options: LabOptions, folder: Path) -> tuple[Order, Layout]:
    """Make the lab's folder, whole at once, so that of two starters exactly one gets the name."""
    folder.mkdir(parents=True, exist_ok=True)
    layout = Layout(folder / options.name)
    if find(options.name, folder) is not None:
        end = f"scenario-runner lab down --lab-name {options.name}"
        raise Refused(f"Lab {options.name} runs already: use it, or end it with `{end}`.")
    lab_id = secrets.token_hex(8)
    path = layout.root / "control.sock"
    if not control.fits(path):
        path = Path(tempfile.mkdtemp(prefix="scenario-runner-lab-")) / "control.sock"
    driver, why_not = find_driver()
    order = Order(options, lab_id, str(path), driver, why_not)
    draft = Layout(folder / f".{options.name}.{lab_id}")
    draft.logs.mkdir(parents=True)
    draft.root.chmod(0o700)
    order.write(draft)
    try:
        draft.root.rename(layout.root)
    except OSError as error:
        shutil.rmtree(draft.root)
        if path.parent != layout.root:
            path.parent.rmdir()
        raise Refused(f"Lab {options.name} is being started or ended by somebody else right now.") from error
    return order, layout


def _start_keeper(order: Order, layout: Layout, owner: int, kind: str) -> "subprocess.Popen[str]":
    package = Path(__file__).parents[2]
    # The agent is a distribution of its own; in a source tree it lies beside the package.
    paths = [str(package), str(package / "agent"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {LAB_MARK: order.lab_id, "PYTHONPATH": ":".join(paths)}
    with layout.log("keeper").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "scenario_runner.lab.keeper", str(layout.root), str(owner), kind],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=environment,
            pass_fds=(owner,),
            start_new_session=True,
            text=True,
        )


def _await_word(keeper: "subprocess.Popen[str]", layout: Layout) -> LabInfo:
    """Its first line: `ready JSON` or `failed SENTENCE`."""
    assert keeper.stdout is not None
    with keeper.stdout as output:
        ready, _, _ = select.select([output], [], [], _UP_LIMIT)
        word, _, text = output.readline().partition(" ") if ready else ("", "", "")
    if word == "ready":
        return read_info(text)
    if word == "failed":
        raise TargetUnreachable(text.strip().replace("\\n", "\n"))
    log = layout.log("keeper")
    said = log.read_text(errors="replace").strip() if log.exists() else ""
    raise TargetUnreachable(f"The keeper of the lab ended without a word. The end of its log:\n{said[-2000:]}")


def _wait_until_gone(lab_id: str, layout: Layout) -> None:
    """The keeper clears away; whatever it did not manage in time is done here."""
    deadline = time.monotonic() + _DOWN_LIMIT
    while marked(lab_id):
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    bury_remains(lab_id, layout)
