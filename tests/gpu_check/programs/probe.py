"""What every client has in common: it tells on its standard output, a JSON object a line, what it tried and saw."""

import importlib
import json
import sys


def tell(**words):
    print(json.dumps(words), flush=True)


def need(name):
    """The module, or a word that it is not there, which is no failure."""
    try:
        return importlib.import_module(name)
    except ImportError:
        tell(missing=name)
        sys.exit()


def warm():
    """Everything works; whoever started us arms now, and then lets us go on."""
    tell(warm=True)
    sys.stdin.readline()


def attempt(what, call):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        first = str(error).strip().splitlines() or [""]
        tell(call=what, answer=f"{type(error).__name__}: {first[0][:100]}")
    else:
        tell(call=what, answer="ok")
