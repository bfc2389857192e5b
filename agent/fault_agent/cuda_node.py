"""The CUDA half of the role `node`: arms, disarms, and tells what was hit."""

from contextlib import suppress
from dataclasses import dataclass

from fault_agent import cuda_hits, messages
from fault_agent.arming import Arming, ArmOrder
from fault_agent.cuda_messages import HitsReply, NodeHits, ProfileReply, profile_reply
from fault_agent.fault import Fault, Phase
from fault_agent.hit_report import HitReport
from fault_agent.ledger import Ledger
from fault_agent.refusal import Refusal
from fault_agent.taking_back import TakingBack


@dataclass(frozen=True)
class CudaNode:
    """Everything about CUDA that a node is asked."""

    ledger: Ledger
    arming: Arming
    taking_back: TakingBack
    hit_report: HitReport

    def state(self) -> messages.CudaState:
        reason = self.arming.folder.why_unusable()
        return messages.CudaState(path=str(self.arming.folder.path), usable=reason is None, reason=reason)

    def arm(self, order: ArmOrder, key: str | None) -> tuple[Fault, bool]:
        """The fault and whether it is new; raises Refusal."""
        self.taking_back.end_what_is_due()
        self._forget_old_hits()
        return self.arming.arm(order, key)

    def disarm(self, fault_id: str, key: str | None) -> Fault:
        """Like recovering it, but only for CUDA faults; raises Refusal."""
        fault = self.ledger.find(fault_id)
        if fault is not None and fault.fault_type != "cuda" and fault.phase is not Phase.TOMBSTONE:
            message = f"{fault_id} is not a CUDA fault; recover it instead."
            raise Refusal(422, "not_a_cuda_fault", message, self.ledger.node)
        return self.taking_back.recover(fault_id, key)

    def hits(self, fault_id: str | None) -> HitsReply:
        """Raises Refusal 404 for an unknown fault, 503 if the hits can not be read."""
        if fault_id is not None:
            self.ledger.get(fault_id)
        return HitsReply(nodes=[self._report(fault_id)], unreachable=[])

    def profiles(self) -> list[ProfileReply]:
        return [profile_reply(row) for row in self.arming.profiles.rows]

    def _report(self, fault_id: str | None) -> NodeHits:
        try:
            return self.hit_report.report(fault_id, self.arming.generation())
        except OSError as error:
            message = f"The hits of node {self.ledger.node} can not be read: {error.strerror or error}."
            raise Refusal(503, "cuda_not_usable", message, self.ledger.node) from error

    def _forget_old_hits(self) -> None:
        """Records of faults that nobody knows any more only take room on a memory disk."""
        known = {fault.name for fault in self.ledger.all() if fault.fault_type == "cuda"}
        with suppress(OSError):  # whether the folder can be used is said by whoever needs it
            cuda_hits.forget_hits(self.arming.folder.hits, known)
