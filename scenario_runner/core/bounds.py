"""Comparisons as people write them ("at least 0.7", "between 1 and 3"), and what can be wrong with one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

_COMPARISON = re.compile(r"(?:(at least|at most|above|below|exactly|>=|<=|>|<|==)\s*(.+)|between\s+(.+?)\s+and\s+(.+))")
COMPARING = r"(?:at least|at most|above|below|>=|<=|>|<)"


def is_number(value: object) -> bool:
    """Whether it is a number without a unit, also when it was quoted."""
    return not isinstance(value, bool) and re.fullmatch(r"\s*\d+(\.\d+)?\s*", str(value)) is not None


def shown(value: object) -> str:
    """A value as the author knows it from the file."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"'{value}'"


@dataclass(frozen=True)
class Bounds:
    """What a comparison leaves open: a lower and an upper bound, each either included or not."""

    low: Decimal | None
    high: Decimal | None
    low_included: bool = True
    high_included: bool = True

    def hold(self, value: Decimal) -> bool:
        return self._above(value) and self._below(value)

    def _above(self, value: Decimal) -> bool:
        return self.low is None or value > self.low or (self.low_included and value == self.low)

    def _below(self, value: Decimal) -> bool:
        return self.high is None or value < self.high or (self.high_included and value == self.high)

    def times(self, factor: Decimal) -> "Bounds":
        low, high = (None if one is None else one * factor for one in (self.low, self.high))
        return Bounds(low, high, self.low_included, self.high_included)

    def spelled(self, number: Callable[[Decimal], str]) -> str:
        if self.low is not None and self.low == self.high:
            return f"exactly {number(self.low)}"
        if self.low is not None and self.high is not None:
            return f"between {number(self.low)} and {number(self.high)}"
        if self.low is not None:
            return f"{'at least' if self.low_included else 'above'} {number(self.low)}"
        assert self.high is not None, "a comparison has a bound"
        return f"{'at most' if self.high_included else 'below'} {number(self.high)}"


def _bounds(word: str, value: Decimal) -> Bounds:
    if word in {"at least", ">=", "above", ">"}:
        return Bounds(value, None, low_included=word in {"at least", ">="})
    if word in {"at most", "<=", "below", "<"}:
        return Bounds(None, value, high_included=word in {"at most", "<="})
    return Bounds(value, value)


def split_comparison(value: object, what: str, write: str) -> tuple[str, str, str]:
    """The word of a comparison ("between" included) and its one or two operands ("" for none)."""
    if is_number(value):
        raise ValueError(f"{value} alone does not say how to compare: write {write}")
    found = _COMPARISON.fullmatch(" ".join(value.split())) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{shown(value)} is no {what}: write {write}")
    return (found[1], found[2], "") if found[1] else ("between", found[3], found[4])


def compare(value: object, what: str, write: str, operand: Callable[[str], Decimal]) -> Bounds:
    word, one, two = split_comparison(value, what, write)
    if word != "between":
        return _bounds(word, operand(one))
    low, high = operand(one), operand(two)
    if low > high:
        raise ValueError(f"{shown(value)} is the wrong way round: write between {two} and {one}")
    return Bounds(low, high)


def refuse_empty(value: object, *, vacuous: bool, impossible: bool) -> None:
    if vacuous:
        raise ValueError(f"{shown(value)} holds whatever happens: ask for more, or leave it out")
    if impossible:
        raise ValueError(f"{shown(value)} can never hold: ask for less")


class Written:
    """A value that is read from a text and prints as the same text again."""

    @classmethod
    def parse(cls, value: object) -> "Written":
        raise NotImplementedError

    @classmethod
    def pattern(cls) -> str:
        raise NotImplementedError

    @classmethod
    def _accept(cls, value: object) -> "Written":
        return value if isinstance(value, cls) else cls.parse(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        del source, handler
        return core_schema.no_info_plain_validator_function(
            cls._accept, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Mapping[str, Any]:
        del schema, handler
        return {"type": "string", "pattern": cls.pattern()}


def plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
