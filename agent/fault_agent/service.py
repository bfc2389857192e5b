"""What stands behind the routes: one node, or a gateway to many of them."""

from dataclasses import dataclass
from typing import Protocol

from fault_agent.cuda_messages import ArmRequest, DisarmRequest, ProfileReply
from fault_agent.messages import FaultsReply, GatewayReady, HealthReply, InjectRequest, NodeReady, RenewRequest
from fault_agent.shapes import Message


@dataclass(frozen=True)
class Answer:
    """An HTTP status and its body: one of our messages, or what another agent answered, decoded from JSON."""

    status: int
    body: Message | object


class Service(Protocol):
    """Every method may raise Refusal; a fault id is `<node>~<name>`, a key is its name part."""

    def health(self) -> HealthReply: ...
    def ready(self) -> NodeReady | GatewayReady: ...
    def metrics(self) -> str:
        """Text in the format of Prometheus."""

    def gpus(self, node: str | None) -> Answer: ...
    def inject(self, xid: int, request: InjectRequest, key: str | None) -> Answer: ...
    def recover(self, fault_id: str, key: str | None) -> Answer: ...
    def renew(self, fault_id: str, request: RenewRequest) -> Answer: ...
    def faults(self, *, active_only: bool) -> FaultsReply: ...
    def fault(self, fault_id: str) -> Answer: ...
    def arm(self, request: ArmRequest, key: str | None) -> Answer: ...
    def disarm(self, request: DisarmRequest, key: str | None) -> Answer: ...
    def hits(self, node: str | None, fault_id: str | None) -> Answer: ...
    def profiles(self) -> list[ProfileReply]:
        """The table that an agent of this version has."""
