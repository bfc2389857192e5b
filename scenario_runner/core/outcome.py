"""What came of one step. Values only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """How a step ended. `failed` blames the system under test, `broken` blames us."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


class Role(StrEnum):
    """What a kind of step is for; the verdict of a run depends on it."""

    FAULT = "fault"
    ASSERTION = "assertion"
    LOAD = "load"
    WAIT = "wait"
    ACTION = "action"  # anything else: pause, collect, recover_fault
    GROUP = "group"
    UNDO = "undo"


class Phase(StrEnum):
    """Which part of a run an outcome belongs to, in the order in which they happen."""

    HEALTH = "health"
    STEPS = "steps"
    ALWAYS = "always"
    UNDO = "undo"
    HEALTH_AFTER = "health_after"
    AFTER = "after"


@dataclass(frozen=True)
class Finding:
    """What a step found out: a sentence for people and numbers for machines (seconds, ratios, counts)."""

    summary: str
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """One executed (or skipped) step. Reporters read only this."""

    number: str  # "02"; undo outcomes "undo 01"
    step_id: str
    kind: str
    name: str  # what people read
    role: Role
    phase: Phase
    status: Status
    summary: str
    started: datetime  # UTC
    offset: float  # seconds since the run began
    seconds: float
    line: int = 0
    timeout: float | None = None  # the step's budget in seconds
    numbers: dict[str, float] = field(default_factory=dict)
    lost_attempts: tuple[str, ...] = ()  # summaries of attempts before the last one
    trace: str | None = None
    attachments: tuple[str, ...] = ()  # paths relative to the run's directory
