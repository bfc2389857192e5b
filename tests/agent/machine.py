"""A node without processes: the real parts on a fake clock and a kernel ring in memory."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fault_agent.acknowledging import Acknowledging
from fault_agent.arming import Arming, ArmOrder
from fault_agent.audit import Audit
from fault_agent.cuda_control import CallClass, Control
from fault_agent.cuda_folder import CudaFolder
from fault_agent.cuda_profiles import cuda_profiles
from fault_agent.cuda_rules import CudaRule
from fault_agent.expiry import Expiry
from fault_agent.fault import Fault
from fault_agent.injecting import Injecting, Order
from fault_agent.inventory import Gpu, Inventory
from fault_agent.kernel_log import Kind, Record, Ring
from fault_agent.ledger import Ledger
from fault_agent.limits import Limits
from fault_agent.store import Store
from fault_agent.taking_back import TakingBack
from fault_agent.xids import xid_table

FAILS = CudaRule(CallClass.LAUNCH, "sticky", code=719)
GPUS = tuple(Gpu(i, i, f"GPU-aa-{i}", f"0000:1{i}:00") for i in range(3))


@dataclass
class FakeClock:
    """Time stands still unless `now` is moved."""

    now: float = 1000.0
    boot: str = "boot-1"
    kernel_boot: str = "kernel-1"

    def since_boot(self) -> float:
        return self.now

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def boot_id(self) -> str:
        return self.boot

    def kernel_boot_id(self) -> str:
        return self.kernel_boot


@dataclass
class FakeRing:
    """A kernel ring that holds `size` records; `broken` makes it unusable, `deaf` drops writes silently."""

    size: int = 1000
    records: list[Record] = field(default_factory=list)
    next_sequence: int = 0
    broken: str | None = None
    deaf: bool = False
    kind: Kind = "real"
    path: Path = Path("/dev/kmsg")

    def why_unusable(self) -> str | None:
        return self.broken

    def write(self, level: int, text: str) -> None:
        if not self.deaf:
            self.records = [*self.records, Record(self.next_sequence, text)][-self.size :]
            self.next_sequence += 1

    def read(self) -> Ring:
        oldest = self.records[0].sequence if self.records else None
        return Ring(oldest, self.next_sequence, tuple(self.records))

    def texts(self) -> list[str]:
        return [record.text for record in self.records]


@dataclass
class FakePlatform:
    reason: str | None = None

    def why_wait(self) -> str | None:
        return self.reason


class Machine:
    """One node; `restart` is what a new process of the agent would see."""

    def __init__(self, folder: Path, max_active: int = 16) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.ring = FakeRing()
        self.platform = FakePlatform()
        self.max_active = max_active
        self.output = (folder / "stdout").open("w")
        self._begin()

    def _begin(self) -> None:
        self.store = Store(self.folder / "state")
        self.ledger = Ledger("gpu-1", self.store)
        self.acknowledging = Acknowledging(self.ledger, self.clock, self.ring)
        inventory = Inventory("gpu-1", GPUS)
        limits = Limits("gpu-1", max_active=self.max_active)
        self.injecting = Injecting(self.ledger, self.clock, self.ring, inventory, xid_table(), limits)
        self.cuda = CudaFolder(self.folder / "cuda", self.clock)
        self.arming = Arming(self.ledger, self.clock, self.cuda, inventory, cuda_profiles(), limits)
        self.taking_back = TakingBack(self.ledger, self.clock, self.platform, self.acknowledging, self.arming)
        audit = Audit(self.clock, self.folder, self.output)
        self.expiry = Expiry(
            self.ledger, self.clock, self.injecting, self.taking_back, self.acknowledging, self.arming, audit
        )

    def restart(self) -> None:
        self.store.close()
        self.cuda.close()
        self._begin()
        self.expiry.turn()

    def close(self) -> None:
        self.store.close()
        self.cuda.close()
        self.output.close()

    def inject(self, name: str, xid: int = 79, **order: object) -> Fault:
        fault, _ = self.injecting.inject(replace(Order(xid), **order), name)  # type: ignore[arg-type]
        return fault

    def arm(self, name: str, *rules: CudaRule, **order: object) -> Fault:
        fault, _ = self.arming.arm(replace(ArmOrder(rules=rules or (FAILS,)), **order), name)  # type: ignore[arg-type]
        return fault

    def control(self) -> Control:
        control = self.cuda.control()
        assert control is not None
        return control

    def armed(self) -> list[str]:
        """Names of the faults in the control file, one for each rule."""
        return [rule.fault for rule in self.control().rules]

    def at(self, now: float) -> float:
        """Let time pass and the agent do what is due; returns when it wants to be called again."""
        self.clock.now = now
        return self.expiry.turn()

    def fault(self, name: str) -> Fault:
        return self.ledger.get(f"gpu-1~{name}")

    def statuses(self) -> dict[str, str]:
        return {fault.fault_id.partition("~")[2]: fault.status for fault in self.ledger.all()}
