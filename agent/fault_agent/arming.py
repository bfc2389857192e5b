"""Arms CUDA faults: promise on disk, control file, read back; and keeps control file and ledger in agreement."""

import errno
import hashlib
import json
import struct
from dataclasses import asdict, dataclass, replace

from fault_agent import cuda_control
from fault_agent.clock import Clock, stamp, stamp_after
from fault_agent.cuda_control import MAX_RULES, Control, Rule
from fault_agent.cuda_folder import CudaFolder
from fault_agent.cuda_profiles import Profiles
from fault_agent.cuda_rules import ControlProof, CudaPart, CudaRule, armed_rules, nanoseconds
from fault_agent.death import die_at
from fault_agent.fault import RAISED, Deadlines, Fault, Phase, ended, finished, never_written
from fault_agent.inventory import Inventory
from fault_agent.ledger import Ledger
from fault_agent.limits import Limits
from fault_agent.refusal import Refusal

ALL_GPUS = "all"


@dataclass(frozen=True)
class ArmOrder:
    """What a caller wants armed: exactly one of `profile`, `xid` and `rules`; times in seconds, None = not asked for.

    `override` names fields of rules and what they are in every rule of the profile.
    """

    gpu_id: int | str = 0
    profile: str | None = None
    xid: int | None = None
    rules: tuple[CudaRule, ...] = ()
    override: tuple[tuple[str, float | str], ...] = ()
    duration: float | None = None
    ttl: float | None = None
    max_lifetime: float | None = None
    run: str | None = None

    def digest(self) -> str:
        """Equal for orders that ask for the same thing."""
        return hashlib.sha256(b"cuda " + json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Arming:
    """`arm` raises one fault; `settle` makes the control file hold exactly the rules of the faults in force."""

    ledger: Ledger
    clock: Clock
    folder: CudaFolder
    inventory: Inventory
    profiles: Profiles
    limits: Limits

    def arm(self, order: ArmOrder, name: str | None) -> tuple[Fault, bool]:
        """Carry out the order once: the fault and whether it is new. Raises Refusal; see the API for the codes."""
        with self.ledger.lock:
            fault_id = self.ledger.new_id(name)
            known = self.ledger.repeated(fault_id, order.digest())
            if known is not None:
                return known, False
            self.limits.check(order.xid, self.ledger.in_force(), self.clock.since_boot())
            self.settle()
            return self._raise(self._promise(fault_id, order)), True

    def settle(self) -> None:
        """Find out what the control file says of each fault, end what has to end, and write it anew if it differs.

        A fault in force whose rules are gone from the file has failed and is not armed again: to remove the file is
        the emergency stop of whoever has no access to the agent. Raises Refusal 503 or 507 if it can not be written.
        """
        with self.ledger.lock:
            faults = self.ledger.unfinished_cuda()
            try:
                control = self._read()
            except Refusal:
                if faults:
                    raise
                return  # a node that can not arm has nothing armed
            for fault in faults:
                if fault.phase in RAISED:
                    self.ledger.update(self._judged(fault, control))
            self._write_if_different(control)
            for fault in self.ledger.unfinished_cuda():
                if fault.phase is Phase.ENDING:
                    self.ledger.update(finished(fault, None))
                    die_at("after_disarmed")

    def generation(self) -> int | None:
        """Of the control file as it is now, None without one; raises Refusal 503."""
        control = self._read()
        return None if control is None else control.generation

    def _promise(self, fault_id: str, order: ArmOrder) -> Fault:
        """Everything that can be refused is refused before anything is promised."""
        gpu = None if order.gpu_id == ALL_GPUS else self.inventory.find(order.gpu_id)
        now = self.clock.since_boot()
        ends = Deadlines.from_now(now, order.ttl, order.duration, order.max_lifetime)
        soonest = ends.next()
        if soonest is None:
            message = "A CUDA fault needs an end: send duration, ttl or max_lifetime."
            raise Refusal(422, "end_needed", message, self.ledger.node)
        profile, rules = self._rules(order)
        fault = Fault(
            fault_id=fault_id,
            phase=Phase.INTENT,
            body_hash=order.digest(),
            boot_id=self.clock.boot_id(),
            fault_type="cuda",
            xid=order.xid,
            run=order.run,
            gpu=gpu,
            injected_at=stamp(self.clock.wall()),
            deadlines=ends,
            expires_at=stamp_after(self.clock, soonest),
            cuda=CudaPart(profile, rules, now),
        )
        self._must_fit(fault)
        die_at("before_cuda_intent")
        self.ledger.create(fault)
        die_at("after_cuda_intent")
        return fault

    def _rules(self, order: ArmOrder) -> tuple[str | None, tuple[CudaRule, ...]]:
        if order.rules:
            return None, order.rules
        if order.profile is not None:
            row = self.profiles.named(order.profile)
        else:
            assert order.xid is not None
            row = self.profiles.of_xid(order.xid)
        changes = dict(order.override)
        return row.name, tuple(replace(rule, **changes) for rule in row.rules)  # type: ignore[arg-type]

    def _must_fit(self, fault: Fault) -> None:
        node, others, ours = self.ledger.node, self._desired(), _armed(fault)
        if len(others) + len(ours) > MAX_RULES:
            message = (
                f"Node {node} has {len(others)} CUDA rules armed and this fault has {len(ours)}, "
                f"at most {MAX_RULES} fit."
            )
            raise Refusal(429, "too_many_rules", message, node)
        try:
            cuda_control.pack(Control(1, "", 0, ours))
        except (ValueError, struct.error) as error:
            message = str(error).rstrip(".").splitlines()[0]
            raise Refusal(
                422, "rule_invalid", f"A rule does not fit into the control file: {message}.", node
            ) from error
        reason = self.folder.why_unusable()
        if reason is not None:
            raise self._unusable(reason)

    def _raise(self, fault: Fault) -> Fault:
        failure: OSError | None = None
        try:
            self.folder.write(self._desired())
        except OSError as error:
            failure = error
        die_at("after_cuda_write")
        why = None if failure is None else f"the control file was not written: {failure.strerror or failure}"
        settled = self.ledger.update(self._judged(fault, self._read(), why))
        die_at("after_cuda_active")
        if failure is not None and failure.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"There is no room for {self.folder.control_file}: nothing was armed."
            raise Refusal(507, "disk_full", message, self.ledger.node)
        if settled.phase is not Phase.ACTIVE:
            raise self._unusable(settled.end_reason or "the control file does not hold what was written")
        return settled

    def _judged(self, fault: Fault, control: Control | None, why: str | None = None) -> Fault:
        """What the control file says of a fault in force."""
        at = stamp(self.clock.wall())
        there = [] if control is None else [rule for rule in control.rules if rule.fault == fault.name]
        wanted = {(rule.fault, rule.part) for rule in _armed(fault)}
        if control is None or control.boot_id != self.folder.boot_id() or {(r.fault, r.part) for r in there} != wanted:
            gone = "its rules are no longer in the control file, somebody else removed or replaced it"
            never = "the control file was not written"
            return never_written(fault, at, why or (never if fault.phase is Phase.INTENT else gone))
        now = self.clock.since_boot()
        if min(rule.expires_at_ns for rule in there) <= nanoseconds(now):
            return ended(fault, at, fault.deadlines.passed(now) or "its end in the control file has passed", "expired")
        if fault.phase is Phase.ACTIVE:
            return fault
        assert fault.cuda is not None
        proof = ControlProof(str(self.folder.control_file), control.generation, control.boot_id)
        return replace(fault, phase=Phase.ACTIVE, cuda=replace(fault.cuda, control=proof))

    def _desired(self) -> tuple[Rule, ...]:
        """Oldest first: where two rules fit a call the first one counts, also after a restart."""
        raised = [fault for fault in self.ledger.unfinished_cuda() if fault.phase in RAISED]
        return tuple(rule for fault in sorted(raised, key=_age) for rule in _armed(fault))

    def _write_if_different(self, control: Control | None) -> None:
        desired = self._desired()
        holds = () if control is None else control.rules
        if _as_read(desired) == holds and (not holds or control is None or control.boot_id == self.folder.boot_id()):
            return
        try:
            self.folder.disarm_to(desired)
        except OSError as error:
            raise self._unusable(f"{self.folder.control_file} can not be written: {error.strerror or error}") from error
        die_at("after_cuda_disarm")

    def _read(self) -> Control | None:
        try:
            return self.folder.control()
        except OSError as error:
            raise self._unusable(f"{self.folder.control_file} can not be read: {error.strerror or error}") from error

    def _unusable(self, reason: str) -> Refusal:
        message = f"CUDA faults can not be armed on node {self.ledger.node}: {reason}."
        return Refusal(503, "cuda_not_usable", message, self.ledger.node)


def _age(fault: Fault) -> tuple[float, str]:
    assert fault.cuda is not None
    return fault.cuda.armed_at, fault.fault_id


def _as_read(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """As they come back from a file: its numbers are coarser than those of a request."""
    return cuda_control.unpack(cuda_control.pack(Control(1, "", 0, rules))).rules


def _armed(fault: Fault) -> tuple[Rule, ...]:
    ends = fault.deadlines.next()
    assert fault.cuda is not None
    assert ends is not None
    return armed_rules(fault.name, fault.cuda, fault.gpu, ends)
