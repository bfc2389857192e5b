"""The health monitor of one node: reads the kernel log, and knows a reboot by a new boot id."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from scenario_runner.lab.platform.clock import Clock, iso
from scenario_runner.lab.platform.detection import Detector
from scenario_runner.lab.platform.health import HealthEvent
from scenario_runner.lab.platform.journal import journal_entry
from scenario_runner.lab.platform.kernel_log import Record
from scenario_runner.lab.platform.memory import Memory, NodeMemory
from scenario_runner.lab.platform.place import Place
from scenario_runner.lab.platform.times import Times

Deliver = Callable[[NodeMemory, HealthEvent], NodeMemory]


class Monitor:
    """`step` is called often; it looks once per poll interval."""

    def __init__(self, place: Place, memory: Memory, times: Times, clock: Clock) -> None:
        self._place = place
        self._memory = memory
        self._times = times
        self._clock = clock
        self._detector = Detector(place.node, place.gpus)
        self._unread: list[Record] = []
        self._next_look = clock.monotonic()
        self._up_since: float | None = None

    def start(self) -> None:
        """Go on where the last one stopped; the very first one begins at the end of the log."""
        self._unread = self._place.kernel_log.read()
        if self._memory.get(self._place.node) is None:
            cursor = self._unread[-1].sequence if self._unread else -1
            self._unread = []
            self._memory.put(self._place.node, NodeMemory(cursor, self._place.boot_id))
        else:
            self._skip_what_was_read()

    def step(self, up: Callable[[str], bool], deliver: Deliver) -> None:
        """
        Deliver what is new. `up` says whether the node is ready in a boot, `deliver` returns what an event makes of
        the memory.

        Raises ApiTrouble or OSError; what was not delivered comes again in the next step.
        """
        if self._clock.monotonic() < self._next_look:
            return
        memory = self._known()
        if self._place.boot_id != memory.boot_id:
            self._after_reboot(memory, up, deliver)
        else:
            self._next_look = self._clock.monotonic() + self._times.poll
            self._read(deliver)

    def _read(self, deliver: Deliver) -> None:
        self._unread += self._place.kernel_log.read()
        while self._unread:
            record = self._unread[0]
            event = self._event_of(record)
            if event is not None:
                after = replace(deliver(self._known(), event), cursor=record.sequence)
                self._memory.put(self._place.node, after)
            self._unread.pop(0)

    def _event_of(self, record: Record) -> HealthEvent | None:
        entry = journal_entry(record)
        return None if entry is None else self._detector.event(entry, self._id(str(record.sequence)), self._now())

    def _after_reboot(self, memory: NodeMemory, up: Callable[[str], bool], deliver: Deliver) -> None:
        """The monitor itself has to come up first; then it reports the node healthy, and reads the log of this boot."""
        boot_id = self._place.boot_id
        if not up(boot_id):
            self._up_since = None
            return
        now = self._clock.monotonic()
        self._up_since = now if self._up_since is None else self._up_since
        if now - self._up_since < self._times.monitor_start:
            return
        healthy = HealthEvent(self._id(boot_id), self._place.node, self._now(), healthy=True)
        after = replace(deliver(memory, healthy), boot_id=boot_id)
        if self._place.kernel_log.rebooted():
            after, self._unread = replace(after, cursor=-1), []
        self._memory.put(self._place.node, after)
        self._up_since = None

    def _skip_what_was_read(self) -> None:
        # In another boot the cursor may mean another log: what is unread then is decided when the node is up.
        cursor = self._known().cursor
        self._unread = [record for record in self._unread if record.sequence > cursor]

    def _known(self) -> NodeMemory:
        memory = self._memory.get(self._place.node)
        assert memory is not None, "start() comes before step()"
        return memory

    def _id(self, what: str) -> str:
        # The same record always gives the same id, so that a repeat after a restart changes nothing.
        return hashlib.sha256(f"{self._known().boot_id} {self._place.node} {what}".encode()).hexdigest()[:24]

    def _now(self) -> str:
        return iso(self._clock.now())
