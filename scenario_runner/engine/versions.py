"""The version of this program, as journals and reports name it."""

from functools import cache
from importlib import metadata


@cache
def version() -> str:
    try:
        return metadata.version("scenario-runner")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"
