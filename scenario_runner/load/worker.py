"""Carries one order out: ties the schedule, the client and the records together."""

import asyncio
import time
from collections.abc import Callable

from scenario_runner.core.samples import LoadOrder, Sample
from scenario_runner.load.answers import judge_for
from scenario_runner.load.client import Client
from scenario_runner.load.clock import now
from scenario_runner.load.connection import Exchange
from scenario_runner.load.model import AGAIN_AFTER, FIRST_LOOKUP, ModelLookup
from scenario_runner.load.protocol import Encoder, Statistics
from scenario_runner.load.request import load_request, models_path, models_request, parse_url
from scenario_runner.load.schedule import Schedule

TOO_MANY = "too many outstanding"
_FLUSH = 0.01  # seconds that records wait for company: 100 writes a second at most
_HEARTBEAT = 1.0


class Worker:
    """One load. Everything happens in the event loop's thread."""

    def __init__(self, order: LoadOrder, write: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """
        Raise ValueError with a sentence for an order that can not be carried out.

        `write` takes bytes for the parent and never blocks; `on_end` is called when every request has ended.
        """
        self._order = order
        self._write = write
        self._on_end = on_end
        self._place = parse_url(order.url)
        self._new_judge = judge_for(order)
        self._schedule = Schedule(order, self._start, self._schedule_ended)
        self._client = Client(self._place, self._trouble, order.tls)
        self._encoder = Encoder()
        self._records = bytearray()
        self._flush_at: asyncio.TimerHandle | None = None
        self._payload = load_request(order, self._place, "" if order.model == "auto" else order.model)
        self._no_payload = ""  # the reason why requests can not be sent yet
        self._outstanding = 0
        self._no_more = False
        self._due = self._late = 0
        self._worst = 0.0
        self._told: set[str] = set()

    def begin(self) -> None:
        self._heartbeat()
        if self._order.api != "http" and self._order.model == "auto":
            self._look_up(self._schedule.begin)
        else:
            self._schedule.begin()

    def stop(self) -> None:
        """Start no more requests."""
        self._schedule.stop()

    def finish(self) -> None:
        """Say the last word, whatever is still in flight."""
        statistics = Statistics(
            due=self._due,
            late=self._late,
            worst=self._worst,
            cpu=time.process_time(),
            connections=self._client.opened,
            resent=self._client.resent,
            abandoned=self._outstanding,
        )
        self._records += self._encoder.last(statistics)
        self._flush()

    def _start(self, scheduled: float) -> None:
        exchange = Exchange(self._payload, self._new_judge(), scheduled, self._ended)
        exchange.expected = self._order.expect_status
        self._count(exchange.started - scheduled)
        self._outstanding += 1
        self._record(self._encoder.due(scheduled, exchange.started))
        if self._outstanding > self._order.max_outstanding:
            exchange.end(TOO_MANY)
        elif self._no_payload:
            exchange.end(self._no_payload)
        else:
            self._client.send(exchange, scheduled + self._order.request_timeout)

    def _count(self, late: float) -> None:
        self._due += 1
        self._late += late > self._order.late_after
        self._worst = max(self._worst, late)

    def _ended(self, exchange: Exchange) -> None:
        self._outstanding -= 1
        sample = Sample(
            scheduled=exchange.scheduled,
            started=exchange.started,
            ended=exchange.ended,
            first_token=exchange.judge.first_token,
            status=exchange.status,
            reason=exchange.reason,
            inter_token=exchange.judge.inter_token,
        )
        self._record(self._encoder.ended(sample))
        self._end_if_done()

    def _schedule_ended(self) -> None:
        self._no_more = True
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._no_more and not self._outstanding:
            self._on_end()

    # The model of an order that leaves the choice to the service.

    def _look_up(self, then: Callable[[], None]) -> None:
        """Ask, and go on with `then` when the answer, or no answer, is there."""

        def answered(model: str, reason: str) -> None:
            if model:
                self._payload = load_request(self._order, self._place, model)
                self._no_payload = ""
            else:
                self._no_payload = f"no model: GET {models_path(self._place.path)}: {reason}"
                asyncio.get_running_loop().call_later(AGAIN_AFTER, self._look_up, _nothing)
            then()

        lookup = ModelLookup(models_request(self._order, self._place), answered)
        self._client.send(lookup.exchange, now() + min(FIRST_LOOKUP, self._order.request_timeout))

    # Records.

    def _trouble(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._record(self._encoder.trouble(text))

    def _heartbeat(self) -> None:
        self._record(self._encoder.alive())
        self._client.rest()
        asyncio.get_running_loop().call_later(_HEARTBEAT, self._heartbeat)

    def _record(self, record: bytes) -> None:
        self._records += record
        if self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(_FLUSH, self._flush)

    def _flush(self) -> None:
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        if self._records:
            self._write(bytes(self._records))
            self._records.clear()


def _nothing() -> None:
    """What follows a lookup that nobody waits for."""
