"""Ends faults when their time comes, and finishes what had to wait, in one thread."""

import threading
from dataclasses import dataclass, field

from fault_agent.acknowledging import Acknowledging
from fault_agent.arming import Arming
from fault_agent.audit import Audit
from fault_agent.clock import Clock
from fault_agent.injecting import Injecting
from fault_agent.ledger import Ledger
from fault_agent.refusal import Refusal
from fault_agent.taking_back import TakingBack

IDLE_SECONDS = 30.0  # nothing to do
BUSY_SECONDS = 1.0  # a waiting acknowledgement or a reboot is noticed within this time
WATCH_SECONDS = 5.0  # how often the ring is searched for real faults


@dataclass
class Expiry:
    """`turn` does what is due; the thread only calls it at the right times."""

    ledger: Ledger
    clock: Clock
    injecting: Injecting
    taking_back: TakingBack
    acknowledging: Acknowledging
    arming: Arming
    audit: Audit
    _wake: threading.Event = field(default_factory=threading.Event)
    _complaints: frozenset[str] = frozenset()
    _next_watch: float = 0.0

    def start(self) -> None:
        """Begin to turn in a daemon thread: a crash of the process needs nothing from it."""
        threading.Thread(target=self._run, name="expiry", daemon=True).start()

    def nudge(self) -> None:
        """Something changed: the next deadline may be sooner."""
        self._wake.set()

    def turn(self) -> float:
        """Do what is due now; returns the seconds after which there is something to do again, at most."""
        complaints = set()
        for part in (
            self.injecting.settle,
            self._end,
            self.taking_back.finish_what_is_over,
            self.arming.settle,
            self._watch,
        ):
            try:
                part()
            except (Refusal, OSError) as error:  # the kernel log or the disk does not play along: try again
                complaints.add(str(error))
        self._complain(frozenset(complaints))
        return self._pause()

    def _end(self) -> None:
        for fault in self.taking_back.end_what_is_due():
            self.audit.note("expire", fault.fault_id, fault.end_reason or "")

    def _watch(self) -> None:
        now = self.clock.since_boot()
        if now >= self._next_watch:
            self._next_watch = now + WATCH_SECONDS
            self.acknowledging.watch()

    def _pause(self) -> float:
        if not self.ledger.unfinished():
            return IDLE_SECONDS
        deadline = self.taking_back.next_deadline()
        if deadline is None:
            return BUSY_SECONDS
        return max(0.0, min(BUSY_SECONDS, deadline - self.clock.since_boot()))

    def _complain(self, messages: frozenset[str]) -> None:
        for message in sorted(messages - self._complaints):
            self.audit.note("finish", None, f"waits: {message}")
        self._complaints = messages

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self._wake.wait(self.turn())
