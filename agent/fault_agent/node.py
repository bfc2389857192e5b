"""The role `node`: injects into this machine's kernel log and takes back."""

from collections import Counter
from dataclasses import dataclass

from fault_agent import __version__, messages
from fault_agent.audit import Audit
from fault_agent.clock import Clock
from fault_agent.cuda_messages import ArmRequest, DisarmRequest, ProfileReply
from fault_agent.cuda_node import CudaNode
from fault_agent.expiry import Expiry
from fault_agent.fault import UNFINISHED, Fault, Phase
from fault_agent.injecting import Injecting, Order
from fault_agent.inventory import Gpu, Holder, Holders, Inventory
from fault_agent.kernel_log import KernelLog
from fault_agent.ledger import Ledger
from fault_agent.refusal import Refusal
from fault_agent.service import Answer
from fault_agent.taking_back import TakingBack


@dataclass(frozen=True)
class Node:
    """The service of one node; implements `Service`."""

    name: str
    clock: Clock
    log: KernelLog
    inventory: Inventory
    allocations: Holders
    ledger: Ledger
    injecting: Injecting
    taking_back: TakingBack
    expiry: Expiry
    audit: Audit
    cuda: CudaNode

    def health(self) -> messages.HealthReply:
        return messages.HealthReply(role="node", node=self.name, version=__version__)

    def ready(self) -> messages.NodeReady:
        reason = self.log.why_unusable()
        state = messages.KernelLogState(
            kind=self.log.kind, path=str(self.log.path), writable=reason is None, reason=reason
        )
        damaged = list(self.ledger.damaged())
        return messages.NodeReady(
            ready=reason is None and not damaged, kernel_log=state, damaged=damaged, cuda=self.cuda.state()
        )

    def metrics(self) -> str:
        counted = Counter(fault.status for fault in self.ledger.all())
        lines = ["# TYPE fault_agent_faults gauge"]
        lines += [f'fault_agent_faults{{status="{name}"}} {count}' for name, count in sorted(counted.items())]
        lines += ["# TYPE fault_agent_kernel_log_writable gauge"]
        lines += [f"fault_agent_kernel_log_writable {int(self.log.why_unusable() is None)}"]
        lines += ["# TYPE fault_agent_audit_lines_lost_total counter"]
        lines += [f"fault_agent_audit_lines_lost_total {self.audit.lost}"]
        return "\n".join(lines) + "\n"

    def gpus(self, node: str | None) -> Answer:
        if node is not None:
            self._must_be_me(node)
        holders = self.allocations.holders()
        listed = [self._gpu_reply(gpu, holders.get(gpu.uuid, [])) for gpu in self.inventory.gpus]
        reply = messages.GpusReply(node=self.name, boot_id=self.clock.boot_id(), kernel_log=self.log.kind, gpus=listed)
        return Answer(200, reply)

    def inject(self, xid: int, request: messages.InjectRequest, key: str | None) -> Answer:
        self._must_be_me(request.node_name)
        _must_agree(xid, request.xid_type)
        order = Order(xid=xid, **request.model_dump(include=set(Order.__dataclass_fields__) - {"xid"}))
        with self._audited(f"inject xid {xid}", f"{self.name}~{key or 'auto'}"):
            self.taking_back.end_what_is_due()
            fault, is_new = self.injecting.inject(order, key)
        self.audit.note(f"inject xid {xid}", fault.fault_id, fault.status if is_new else "known already")
        self.expiry.nudge()
        return Answer(201 if is_new else 200, messages.fault_reply(fault))

    def recover(self, fault_id: str, key: str | None) -> Answer:
        with self._audited("recover", fault_id):
            fault = self.taking_back.recover(fault_id, key)
        self.audit.note("recover", fault_id, fault.status)
        self.expiry.nudge()
        return Answer(200, messages.fault_reply(fault))

    def renew(self, fault_id: str, request: messages.RenewRequest) -> Answer:
        with self._audited("renew", fault_id):
            fault = self.taking_back.renew(fault_id, request.ttl)
        self.expiry.nudge()
        return Answer(200, messages.renew_reply(fault))

    def faults(self, *, active_only: bool) -> messages.FaultsReply:
        self.taking_back.end_what_is_due()
        faults = sorted(
            self.ledger.all(), key=lambda fault: (fault.injected_at or fault.ended_at or "", fault.fault_id)
        )
        listed = [messages.fault_reply(fault) for fault in faults if _is_wanted(fault, active_only=active_only)]
        return messages.FaultsReply(faults=listed, unreachable=[])

    def fault(self, fault_id: str) -> Answer:
        self.taking_back.end_what_is_due()
        return Answer(200, messages.fault_reply(self.ledger.get(fault_id)))

    def arm(self, request: ArmRequest, key: str | None) -> Answer:
        self._must_be_me(request.node_name)
        with self._audited("arm", f"{self.name}~{key or 'auto'}"):
            fault, is_new = self.cuda.arm(request.order(), key)
        self.audit.note("arm", fault.fault_id, fault.status if is_new else "known already")
        self.expiry.nudge()
        return Answer(201 if is_new else 200, messages.fault_reply(fault))

    def disarm(self, request: DisarmRequest, key: str | None) -> Answer:
        with self._audited("disarm", request.fault_id):
            fault = self.cuda.disarm(request.fault_id, key)
        self.audit.note("disarm", request.fault_id, fault.status)
        self.expiry.nudge()
        return Answer(200, messages.fault_reply(fault))

    def hits(self, node: str | None, fault_id: str | None) -> Answer:
        if node is not None:
            self._must_be_me(node)
        return Answer(200, self.cuda.hits(fault_id))

    def profiles(self) -> list[ProfileReply]:
        return self.cuda.profiles()

    @staticmethod
    def _gpu_reply(gpu: Gpu, holders: list[Holder]) -> messages.GpuReply:
        return messages.GpuReply(index=gpu.index, minor=gpu.minor, uuid=gpu.uuid, pci=gpu.pci, held_by=holders)

    def _must_be_me(self, node: str) -> None:
        if node != self.name:
            message = f"This is the agent of node {self.name}, not of {node}."
            raise Refusal(404, "node_not_found", message, self.name)

    def _audited(self, action: str, fault_id: str) -> "_Refusals":
        return _Refusals(self.audit, action, fault_id)


def _must_agree(xid: int, xid_type: int | str | None) -> None:
    if xid_type is not None and str(xid_type).lower().removeprefix("xid-") != str(xid):
        raise Refusal(422, "xid_disagrees", f"The route says XID {xid}, the body says {xid_type}.")


def _is_wanted(fault: Fault, *, active_only: bool) -> bool:
    return fault.phase in UNFINISHED if active_only else fault.phase in Phase


@dataclass(frozen=True)
class _Refusals:
    """Notes a refusal that passes through in the audit."""

    audit: Audit
    action: str
    fault_id: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Refusal):
            self.audit.note(self.action, self.fault_id, f"refused: {error.message}")
