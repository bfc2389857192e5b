"""`run.json`: what a run is and how its cluster is reached, written before the run may change anything."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from scenario_runner.engine.appending import sync_folder
from scenario_runner.errors import Refused

CARD = "run.json"
JOURNAL = "undo.jsonl"


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


def write_card(run_dir: Path, card: RunCard) -> None:
    path = run_dir / CARD
    with path.open("x", encoding="utf-8") as file:
        json.dump(asdict(card), file, indent=2)
        file.write("\n")
        file.flush()
        sync_folder(run_dir)


def read_card(run_dir: Path) -> RunCard:
    """Raise Refused when the folder holds no run that this version can read."""
    path = run_dir / CARD
    try:
        return TypeAdapter(RunCard).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Refused(f"{run_dir} is not the folder of a run: it has no {CARD}") from None
    except ValidationError as exc:
        problem = exc.errors()[0]
        raise Refused(f"{path} cannot be read: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from exc
