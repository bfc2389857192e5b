"""A scenario file as frozen values: checked, with its variables written out, and nothing looked up in a cluster yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from scenario_runner.core.outcome import Phase
from scenario_runner.core.plan import Variable
from scenario_runner.core.quantities import Ratio, Seconds
from scenario_runner.format.entries import StepEntry
from scenario_runner.format.targets import Declared
from scenario_runner.format.yaml_core import Entries

REQUIREMENTS = ("agent", "sentinel")
# "breaker": so many nodes are cordoned that the platform's circuit breaker may trip.
Consequence = Literal["cordon", "drain", "reboot", "gpu-reset", "breaker"]


class GuardsSpec(BaseModel):
    """What the run may do to the cluster at most. Without it: one node, one GPU, no consequence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_nodes: int = Field(default=1, ge=1, description="Most nodes that faults may hit.")
    max_gpus: int = Field(default=1, ge=1, description="Most GPUs that faults may hit.")
    allow: tuple[Consequence, ...] = Field(default=(), description="What the platform may do because of the faults.")
    min_ready: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="Ready pods that a workload must have before the first fault."
    )
    allow_sick: bool = Field(default=False, description="Accept a victim that is cordoned, not ready or ill already.")


def _below(value: object) -> object:
    ratio = Ratio.parse(value)
    if ratio.bounds.low is not None or ratio.bounds.high_included:
        raise ValueError(f"a run is stopped when success falls too low: write below 0.2, not '{value}'")
    return float(ratio.bounds.high or 0)


class AbortSpec(BaseModel):
    """When the run shall be stopped early."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    load: str = Field(description="Id of the load that is looked at.")
    success: Annotated[
        float,
        BeforeValidator(_below),
        WithJsonSchema({"type": "string", "pattern": r"^\s*(below|<)\s*(0?\.\d+|1|1\.0+|\d{1,3}(\.\d+)? ?%)\s*$"}),
    ] = Field(description="Stop when the success ratio is below this, e.g. below 0.2.")
    window: Seconds = Field(description="Over this sliding window, not before it is full.")


class PlatformSpec(BaseModel):
    """How long the platform may take for each phase; replaces the platform profile's times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detected: Seconds | None = Field(default=None, description="Until the fault is noticed.")
    cordoned: Seconds | None = Field(default=None, description="Until the node is cordoned.")
    drained: Seconds | None = Field(default=None, description="Until the node is drained.")
    remediated: Seconds | None = Field(default=None, description="Until the repair has ended.")
    uncordoned: Seconds | None = Field(default=None, description="Until the node takes pods again.")


class Header(BaseModel):
    """Everything of a scenario but its variables, targets and steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = Field(description="Write `version: 1`: the version of this file format.")
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Unique name of lower-case letters, digits and hyphens."
    )
    description: str = Field(default="", description="Why this scenario exists.")
    tags: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")], ...] = Field(
        default=(), description="Words by which scenarios are selected."
    )
    namespace: str = Field(default="default", min_length=1, description="Namespace of the targets.")
    requires: tuple[Literal["agent", "sentinel"], ...] = Field(
        default=(), description="What the cluster must have: the fault agent, the self-healing platform."
    )
    guards: GuardsSpec = Field(default_factory=GuardsSpec, description=(GuardsSpec.__doc__ or "").strip())
    platform: PlatformSpec = Field(default_factory=PlatformSpec, description=(PlatformSpec.__doc__ or "").strip())
    abort_when: tuple[AbortSpec, ...] = Field(default=(), description="When the run shall be stopped early.")
    control: bool = Field(default=False, description="A negative control: rightly without a fault.")
    deadline: Seconds | None = Field(default=None, description="How long all steps together may take.")
    undo_budget: Seconds | None = Field(
        default=None, description="How long undo may take; the recovery time of the severest XID if left out."
    )
    settle_timeout: Seconds = Field(
        default=600.0, description="How long to wait after undo for what the platform does on its own."
    )


PHASES: Mapping[str, Phase] = {
    "health": Phase.HEALTH,
    "steps": Phase.STEPS,
    "always": Phase.ALWAYS,
    "after": Phase.AFTER,
}


@dataclass(frozen=True)
class Scenario:
    """
    One scenario file. `steps` are the entries of each phase, groups not expanded; `root` knows every line.

    Of a file that holds what could not be read only this much is there (`torn`), and `unread` are the names in it of
    targets and steps that are not.
    """

    file: Path
    digest: str  # sha256 of the file
    header: Header
    variables: tuple[Variable, ...]
    targets: Mapping[str, Declared]
    steps: Mapping[Phase, tuple[StepEntry, ...]]
    root: Entries
    torn: bool = False
    unread: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def tags(self) -> tuple[str, ...]:
        return self.header.tags

    def entries(self, phase: Phase) -> Iterator[tuple[StepEntry, tuple[StepEntry, ...]]]:
        """Every entry that is no group, in order, and the groups it lies in, outermost first."""
        yield from _flat(self.steps.get(phase, ()), ())


def _flat(
    entries: tuple[StepEntry, ...], around: tuple[StepEntry, ...]
) -> Iterator[tuple[StepEntry, tuple[StepEntry, ...]]]:
    for entry in entries:
        if entry.kind == "group":
            yield from _flat(entry.inner, (*around, entry))
        else:
            yield entry, around
