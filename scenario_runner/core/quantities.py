"""Quantities as people write them: durations, rates, and comparisons that can not be empty by accident."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from scenario_runner.core.bounds import (
    COMPARING,
    Bounds,
    Written,
    compare,
    is_number,
    plain,
    refuse_empty,
    shown,
    split_comparison,
)

_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_LONGEST = Decimal(30 * 24 * 3600)
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_DURATION = rf"(?:{_NUMBER}h ?)?(?:{_NUMBER}m(?!s) ?)?(?:{_NUMBER}s ?)?(?:{_NUMBER}ms)?"
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|s|m|h)")
_RATE = rf"({_NUMBER})\s*/\s*(s|min|h)"
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}
_FASTEST = 1_000_000.0

_ROUNDING = ((0.01, "0.000001"), (1.0, "0.001"), (10.0, "0.01"), (60.0, "0.1"))  # below: to how many decimals


def parse_seconds(value: object) -> float:
    """Seconds of "250ms", "30s", "2m" or "1h30m"; ValueError with a sentence otherwise, also for a bare number."""
    return float(_duration(value))


def _duration(value: object) -> Decimal:
    if is_number(value):
        raise ValueError(f"a duration needs a unit: write {value}s")
    text = str(value).strip()
    if not isinstance(value, str) or not text or not re.fullmatch(_DURATION, text):
        raise ValueError(f"{shown(value)} is no duration: write 250ms, 30s, 2m or 1h30m")
    seconds = sum((Decimal(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text)), Decimal(0))
    if seconds > _LONGEST:
        raise ValueError(f"{shown(value)} is too long: a duration is at most 720h")
    return seconds


def parse_rate(value: object) -> float:
    """Requests per second of "5/s" or "300/min"; ValueError with a sentence otherwise, also for a bare number."""
    if is_number(value):
        raise ValueError(f"a rate needs a unit: write {value}/s")
    found = re.fullmatch(_RATE, value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{shown(value)} is no rate: write 5/s or 300/min")
    rate = float(found[1]) / _PER[found[2]]
    if rate == 0:
        raise ValueError(f"{shown(value)} sends nothing: write 5/s or 300/min")
    if rate > _FASTEST:
        raise ValueError(f"{shown(value)} is too fast: a rate is at most 1000000/s")
    return rate


def format_seconds(seconds: float) -> str:
    """A duration for people, rounded to what matters: "250ms", "3.47s", "34.7s", "1m 30s", "1h 5m"."""
    size = abs(seconds)
    digits = next((digits for below, digits in _ROUNDING if size < below), "1")
    rounded = Decimal(str(size)).quantize(Decimal(digits), ROUND_HALF_UP)
    return ("-" if seconds < 0 and rounded else "") + _spelled(rounded)


def _spelled(seconds: Decimal) -> str:
    """A duration without loss, in the words that `parse_seconds` reads."""
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{plain(seconds * 1000)}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{plain(hours)}h" if hours else "", f"{plain(minutes)}m" if minutes else ""]
    return " ".join(part for part in [*parts, f"{plain(left)}s" if left else ""] if part)


Seconds = Annotated[
    float,
    BeforeValidator(parse_seconds),
    PlainSerializer(lambda seconds: _spelled(Decimal(str(seconds))), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": rf"^(?=.){_DURATION}$", "examples": ["250ms", "30s", "1h30m"]}),
]
"""Seconds of a text like "30s". Defaults are given as floats; only what an author wrote is parsed."""

RatePerSecond = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda rate: f"{plain(Decimal(str(rate)))}/s", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_RATE}$", "examples": ["5/s", "300/min"]}),
]
"""Requests per second of a text like "5/s"."""


_RATIO = "at least 0.7, at most 0.3, between 0.5 and 0.9 or 7 of 10"
_RATIO_NUMBER = r"(?:0|1|0?\.\d{1,9}|[01]\.\d{1,9}|\d{1,3}(?:\.\d{1,9})? ?%)"


@dataclass(frozen=True)
class Ratio(Written):
    """A demand on a share of successes: "at least 0.7", "between 0.5 and 0.9", "7 of 10"."""

    bounds: Bounds
    minimum: int | None = None  # requests needed for a verdict where the demand says so itself: 10 for "7 of 10"

    @classmethod
    def parse(cls, value: object) -> "Ratio":
        """ValueError with a sentence when it is no ratio, holds always, or never can."""
        counted = re.fullmatch(r"\s*(\d{1,9})\s+of\s+(\d{1,9})\s*", value) if isinstance(value, str) else None
        if counted:
            return cls._counted(value, int(counted[1]), int(counted[2]))
        ratio = cls(compare(value, "ratio", _RATIO if not is_number(value) else f"at least {value}", _share))
        bounds = ratio.bounds
        below_none = bounds.high == 0 and not bounds.high_included
        above_all = bounds.low == 1 and not bounds.low_included
        refuse_empty(value, vacuous=ratio.vacuous, impossible=below_none or above_all)
        return ratio

    @classmethod
    def _counted(cls, value: object, wanted: int, total: int) -> "Ratio":
        refuse_empty(value, vacuous=wanted == 0 and total > 0, impossible=wanted > total or total == 0)
        return cls(Bounds(Decimal(wanted), None), total)

    @classmethod
    def pattern(cls) -> str:
        number = _RATIO_NUMBER
        compared = rf"(?:{COMPARING}|exactly|==)\s*{number}|between\s+{number}\s+and\s+{number}"
        return rf"^\s*(?:{compared}|\d{{1,9}}\s+of\s+\d{{1,9}})\s*$"

    @property
    def vacuous(self) -> bool:
        """True when it holds for every share from 0 to 1."""
        return self.bounds.hold(Decimal(0)) and self.bounds.hold(Decimal(1))

    def judge(self, succeeded: int, total: int) -> bool:
        """Whether `succeeded` of `total` (at least 1) satisfy the demand, `minimum` aside."""
        return self.bounds.times(Decimal(total)).hold(Decimal(succeeded) * (self.minimum or 1))

    def __str__(self) -> str:
        if self.minimum is not None and self.bounds.low is not None:
            return f"{plain(self.bounds.low)} of {self.minimum}"
        return self.bounds.spelled(plain)


def _share(text: str) -> Decimal:
    if not re.fullmatch(_RATIO_NUMBER + rf"|{_NUMBER}", text):
        raise ValueError(f"'{text}' is no number: a ratio compares with a number from 0 to 1, like 0.7")
    share = Decimal(text.rstrip("% ")) / (100 if text.endswith("%") else 1)
    if share > 1:
        hint = f": write {plain(share / 100)} or {text}%" if not text.endswith("%") and share <= 100 else ""  # noqa: PLR2004 - per cent
        raise ValueError(f"{text} is more than 1, and a ratio lies between 0 and 1{hint}")
    return share


_LIMIT = "at most 500ms, between 100ms and 2s or at most 5 x calm"
_TIMES = re.compile(rf"({_NUMBER})\s*[x\u00d7]\s*([A-Za-z0-9][A-Za-z0-9_-]*)")


@dataclass(frozen=True)
class Limit(Written):
    """A demand on a latency, in seconds or as a multiple of another load's: "at most 2s", "at most 5 x calm"."""

    range: Bounds  # seconds, or factors where there is a baseline
    baseline: str | None = None  # id of the load that the factors refer to

    @classmethod
    def parse(cls, value: object) -> "Limit":
        """ValueError with a sentence when it is no limit, holds always, or never can."""
        _, one, two = split_comparison(value, "limit", f"at most {value}s" if is_number(value) else _LIMIT)
        names = {found[2] for found in map(_TIMES.fullmatch, (one, two)) if found}
        if len(names) > 1:
            raise ValueError(f"{shown(value)} compares with two loads: name one")
        baseline = names.pop() if names else None
        operand = _factor if baseline else _latency
        bounds = compare(value, "limit", _LIMIT, operand)
        nothing = bounds.high == 0 and (bounds.low is None or bounds.low == 0)
        vacuous = bounds.high is None and bounds.low == 0
        refuse_empty(value, vacuous=vacuous, impossible=nothing)
        return cls(bounds, baseline)

    @classmethod
    def pattern(cls) -> str:
        factor = rf"{_NUMBER}\s*[x\u00d7]\s*[A-Za-z0-9][A-Za-z0-9_-]*"
        term = rf"(?:{factor}|{_DURATION})"
        return rf"^\s*(?:{COMPARING}\s*{term}|between\s+(?:{_NUMBER}|{term})\s+and\s+{term})\s*$"

    @property
    def vacuous(self) -> bool:
        return self.range.high is None and self.range.low == 0

    def bounds(self, baseline_seconds: float | None) -> tuple[float | None, float | None]:
        """Lower and upper bound in seconds; `baseline_seconds` is what factors multiply (needed if there are any)."""
        if self.baseline is not None and baseline_seconds is None:
            raise ValueError(f"the limit '{self}' needs a latency of {self.baseline}")
        unit = 1.0 if self.baseline is None or baseline_seconds is None else baseline_seconds
        low, high = (None if one is None else float(one) * unit for one in (self.range.low, self.range.high))
        return low, high

    def judge(self, seconds: float, baseline_seconds: float | None = None) -> bool:
        """Whether a latency of `seconds` keeps the limit."""
        if self.baseline is not None and baseline_seconds is None:
            raise ValueError(f"the limit '{self}' needs a latency of {self.baseline}")
        unit = Decimal(1) if self.baseline is None else Decimal(str(baseline_seconds))
        return self.range.times(unit).hold(Decimal(str(seconds)))

    def __str__(self) -> str:
        if self.baseline is None:
            return self.range.spelled(_spelled)
        return f"{self.range.spelled(plain)} x {self.baseline}"


def _latency(text: str) -> Decimal:
    if re.fullmatch(rf"{_NUMBER}\s*[x\u00d7]", text):
        raise ValueError(f"'{text}' does not say of what: write {text} calm (calm being the id of another load)")
    if is_number(text):
        raise ValueError(f"a latency needs a unit: write {text}s or {text} x calm (calm being the id of another load)")
    return _duration(text)


def _factor(text: str) -> Decimal:
    found = _TIMES.fullmatch(text)
    number = found[1] if found else text
    if not re.fullmatch(_NUMBER, number):
        raise ValueError(f"'{text}' is no factor: write a number, as in between 1.2 and 5 x calm")
    return Decimal(number)


_COUNT = "at least 3, at most 3, exactly 2 or between 1 and 3"


@dataclass(frozen=True)
class Count(Written):
    """A demand on a number of things: "at least 3", "exactly 2"."""

    bounds: Bounds

    @classmethod
    def parse(cls, value: object) -> "Count":
        """ValueError with a sentence when it is no count, holds always, or never can."""
        write = f"at least {value} or exactly {value}" if is_number(value) else _COUNT
        count = cls(compare(value, "count", write, _whole))
        impossible = count.bounds.high == 0 and not count.bounds.high_included
        refuse_empty(value, vacuous=count.vacuous, impossible=impossible)
        return count

    @classmethod
    def pattern(cls) -> str:
        return rf"^\s*(?:(?:{COMPARING}|exactly|==)\s*\d{{1,9}}|between\s+\d{{1,9}}\s+and\s+\d{{1,9}})\s*$"

    @property
    def vacuous(self) -> bool:
        return self.bounds.high is None and self.bounds.hold(Decimal(0))

    def judge(self, number: int) -> bool:
        return self.bounds.hold(Decimal(number))

    def __str__(self) -> str:
        return self.bounds.spelled(plain)


def _whole(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"'{text}' is no whole number")
    return Decimal(text)
