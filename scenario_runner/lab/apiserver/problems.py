"""What can be wrong with a field, in the words of the real server."""

import json
import re
from collections.abc import Iterator
from typing import Any

Problem = tuple[str, str, str]
"""(field, reason, message), as in the causes of a Status."""

_SHARE = re.compile(r"\d+%")
_WHOLE = 100  # percent


def invalid(field: str, value: Any, why: str) -> Problem:
    return field, "FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {why}"


def required(field: str, why: str = "") -> Problem:
    return field, "FieldValueRequired", "Required value" + (f": {why}" if why else "")


def forbidden(field: str, why: str) -> Problem:
    return field, "FieldValueForbidden", f"Forbidden: {why}"


def unsupported(field: str, value: Any, *known: str) -> Problem:
    allowed = ", ".join(f'"{one}"' for one in known)
    return field, "FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {allowed}"


def number_or_share(field: str, value: Any, limit: int | None = None) -> Iterator[Problem]:
    """A count that is not negative, or a percentage up to `limit`."""
    if isinstance(value, int):
        if value < 0:
            yield invalid(field, value, "must be greater than or equal to 0")
    elif value is not None and not _SHARE.fullmatch(str(value)):
        yield invalid(field, value, "a valid percent string must be a numeric string followed by an ending '%'")
    elif value is not None and limit is not None and int(str(value)[:-1]) > limit:
        yield invalid(field, value, f"must not be greater than {limit}%")


def not_negative(field: str, value: int | None) -> Iterator[Problem]:
    if value is not None and value < 0:
        yield invalid(field, value, "must be greater than or equal to 0")
