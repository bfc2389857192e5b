"""A load as the steps after the one that started it see it."""

from dataclasses import dataclass

from scenario_runner.core.ports import LoadRun


@dataclass(frozen=True)
class LoadHandle:
    """A load of this run as later steps see it."""

    step_id: str
    run: LoadRun
    request_timeout: float
    started: float  # seconds on the run's clock
    scheduled_until: float | None  # when the last request starts; None: open-ended, until joined
    joined: bool = False
