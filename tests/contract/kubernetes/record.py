"""Writes down what a real server answers to the plays: `python -m tests.contract.kubernetes.record KUBECONFIG`."""

import gzip
import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from tests.contract.kubernetes.plays import play
from tests.contract.kubernetes.server import Json, Server
from tests.contract.kubernetes.spaces import Spaces
from tests.contract.kubernetes.sweep import Play, plays

RECORDED = Path(__file__).with_name("recorded.json.gz")
EXAMPLES = Path(__file__).with_name("examples.yaml")
AT_ONCE = 4


def examples() -> Mapping[str, Play]:
    """What random calls found once, by why it is kept."""
    return {row["why"]: row["calls"] for row in yaml.safe_load(EXAMPLES.read_text()) or []}


def recorded() -> Mapping[str, Json]:
    """The real server's answers, by the name of the play."""
    found: dict[str, Json] = json.loads(gzip.decompress(RECORDED.read_bytes()))
    return found


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__)
        return 2
    server = Server("real", Path(arguments[0]))
    wanted = {**plays(), **examples()}

    def answers(calls: Play) -> Json:
        with spaces.empty(calls) as space:
            return play(space, calls)

    with Spaces(server, f"record-{os.getpid()}") as spaces, ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(wanted, pool.map(answers, wanted.values()), strict=True))
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    RECORDED.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{RECORDED}: {len(found)} plays")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
