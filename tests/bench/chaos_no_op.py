"""
A thousand actions that do nothing, through `chaos run`: `PYTHON chaos_no_op.py FOLDER` tells seconds as JSON.

PYTHON is one that has chaostoolkit and nothing of this project. Imports are over when the time begins.
"""

import json
import sys
import time
from pathlib import Path

ACTIONS = 1000


def do_nothing() -> None:
    """What each action calls."""


def experiment(count: int) -> dict[str, object]:
    provider = {"type": "python", "module": Path(__file__).stem, "func": "do_nothing"}
    method = [{"type": "action", "name": f"nothing {number}", "provider": provider} for number in range(count)]
    return {"title": "nothing", "description": "nothing", "contributions": {}, "method": method, "rollbacks": []}


def timed(folder: Path, count: int) -> dict[str, float]:
    """Seconds of the engine alone (as its journal says), and of everything from the file to the journal."""
    from chaostoolkit.cli import cli  # type: ignore[import-not-found]

    folder.mkdir(parents=True)
    file, journal = folder / "experiment.json", folder / "journal.json"
    file.write_text(json.dumps(experiment(count)))
    options = ["--no-version-check", "--log-file", str(folder / "log"), "--settings", str(folder / "none.yaml")]
    begun = time.perf_counter()
    cli([*options, "run", "--journal-path", str(journal), str(file)], standalone_mode=False)
    whole = time.perf_counter() - begun
    done = json.loads(journal.read_text())
    succeeded = sum(one["status"] == "succeeded" for one in done["run"])
    if (succeeded, done["status"]) != (count, "completed"):
        raise SystemExit(f"{succeeded} of {count} actions succeeded: {done['status']}")
    return {"engine": done["duration"], "whole": whole}


def main(folder: Path) -> None:
    timed(folder / "warm-up", 2)  # lazy imports
    print(json.dumps(timed(folder / "measured", ACTIONS)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
