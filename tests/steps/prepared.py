"""A load that has already ended, with samples that a test made."""

from scenario_runner.core.samples import LoadOrder, Sample, Samples
from tests.fakes import FakeClock


class PreparedLoad:
    """Implements `core.ports.LoadRun`."""

    finished = True
    broken = ""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def stop(self) -> None:
        """There is nothing to stop."""

    def close(self) -> None:
        """There is nothing to end."""


class PreparedLoads:
    """Implements `core.ports.LoadSource`: each load ends at once, with `latencies` and, of them, `late` late starts."""

    def __init__(
        self,
        clock: FakeClock,
        latencies: list[float],
        late: int = 0,
        first_tokens: list[float] | None = None,
        inter_token: float | None = None,
    ) -> None:
        self._clock = clock
        self._latencies = latencies
        self._late = late
        self._first_tokens = first_tokens or []
        self._inter_token = inter_token

    def start(self, order: LoadOrder) -> PreparedLoad:
        del order
        samples = Samples()
        for number, seconds in enumerate(self._latencies):
            at = self._clock.monotonic() - 1.0 + number / 1000
            token = at + self._first_tokens[number] if self._first_tokens else None
            started = at + (0.1 if number < self._late else 0.0)
            samples.add(Sample(at, started, at + seconds, token, 200, "", self._inter_token))
        return PreparedLoad(samples)
