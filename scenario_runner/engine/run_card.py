"""`run.json`: what a run is and how its cluster is reached, written before the run may change anything."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from scenario_runner.engine.appending import sync_folder
from scenario_runner.errors import Refused

CARD = "run.json"
JOURNAL = "undo.jsonl"


@dataclass(frozen=True)
class Scope:
    """What the plan of a run names; whatever a journal says, a recovery acts on nothing else."""

    namespaces: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunCard:
    """Enough to take a dead run back from any folder."""

    run_id: str
    scenario: str
    file: str
    digest: str  # sha256 of the scenario file
    identity: str  # uid of namespace kube-system
    backend: str  # "lab NAME" or the cluster, in words
    kubeconfig: str
    agent_url: str
    token_file: str
    targets: tuple[str, ...]  # names of the nodes that the run may change
    undo_budget: float = 300.0  # seconds
    scope: Scope | None = None  # None: written by a version that did not know it
    context: str = ""  # of the kubeconfig; "in-cluster" in a pod; "" for a lab
    agent_ca: str = ""  # file with the authority of the agents' certificate

    def with_node(self, name: str, uid: str) -> "RunCard":
        """The card of the same run once it may change one more node."""
        scope = self.scope or Scope()
        return replace(
            self,
            targets=tuple(sorted({*self.targets, name})),
            scope=replace(scope, uids=tuple(sorted({*scope.uids, uid}))),
        )


def write_card(run_dir: Path, card: RunCard) -> None:
    _write(run_dir / CARD, card)
    sync_folder(run_dir)


def rewrite_card(run_dir: Path, card: RunCard) -> None:
    """The new card or the old one is there at any time, never a part of one."""
    new = run_dir / f"{CARD}.new"
    new.unlink(missing_ok=True)
    _write(new, card)
    new.rename(run_dir / CARD)
    sync_folder(run_dir)


def _write(path: Path, card: RunCard) -> None:
    with path.open("x", encoding="utf-8") as file:
        json.dump(asdict(card), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read_card(run_dir: Path) -> RunCard:
    """Raise Refused when the folder holds no run that this version can read."""
    path = run_dir / CARD
    try:
        return parse_card(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise Refused(f"{run_dir} is not the folder of a run: it has no {CARD}") from None


def parse_card(text: bytes, where: str) -> RunCard:
    """Raise Refused, naming `where` it lies, when it is no card that this version can read."""
    try:
        return TypeAdapter(RunCard).validate_json(text)
    except ValidationError as exc:
        problem = exc.errors()[0]
        raise Refused(f"{where} cannot be read: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from exc
