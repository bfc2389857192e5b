"""Health events: what monitors tell the rest of the platform, in the platform's own JSON."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scenario_runner.lab.platform.xids import Action

XID_CHECK = "SysLogsXIDError"
AGENT = "syslog-health-monitor"
NO_FAILURES = "No Health Failures"
GPU_UUID = "GPU_UUID"
_MAX_MESSAGE = 1024


@dataclass(frozen=True)
class Entity:
    """A part of a node that an event is about, e.g. GPU_UUID=GPU-..."""

    kind: str
    value: str


@dataclass(frozen=True)
class HealthEvent:
    """One report about one node. A healthy one without entities means all of the node."""

    id: str
    node: str
    at: str  # ISO 8601, UTC
    healthy: bool = False
    code: str = ""
    entities: tuple[Entity, ...] = ()
    message: str = NO_FAILURES
    action: Action = Action.NONE
    check: str = XID_CHECK

    @property
    def fatal(self) -> bool:
        return not self.healthy and self.action is not Action.NONE

    @property
    def gpu(self) -> str:
        """UUID of the GPU, or ''."""
        return next((entity.value for entity in self.entities if entity.kind == GPU_UUID), "")

    @property
    def key(self) -> tuple[object, ...]:
        """Two events with the same key report the same thing."""
        return (self.node, self.check, self.entities, self.code)

    def heals(self, other: "HealthEvent") -> bool:
        """True if this healthy event ends what `other` reported."""
        return self.healthy and self.check == other.check and (not self.entities or self.gpu == other.gpu)

    @property
    def sentence(self) -> str:
        """As it stands in a condition or an Event."""
        parts = [f"ErrorCode:{self.code}", *(f"{entity.kind}:{entity.value}" for entity in self.entities), self.message]
        return f"{' '.join(parts)} Recommended Action={self.action.name};"


def condition_message(events: Iterable[HealthEvent]) -> str:
    """The sentences of all events, cut where the platform cuts them."""
    message = "".join(event.sentence for event in events)
    return message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "..."


def to_json(events: Iterable[HealthEvent]) -> str:
    return json.dumps([_document(event) for event in events])


def from_json(text: str) -> tuple[HealthEvent, ...]:
    """The inverse of `to_json`; an empty text is no events."""
    return tuple(_event(document) for document in json.loads(text or "[]"))


def _document(event: HealthEvent) -> dict[str, Any]:
    return {
        "version": 1,
        "id": event.id,
        "agent": AGENT,
        "componentClass": "GPU",
        "checkName": event.check,
        "isFatal": event.fatal,
        "isHealthy": event.healthy,
        "message": event.message,
        "recommendedAction": event.action.value,
        "errorCode": [event.code] if event.code else [],
        "entitiesImpacted": [{"entityType": entity.kind, "entityValue": entity.value} for entity in event.entities],
        "generatedTimestamp": event.at,
        "nodeName": event.node,
        "processingStrategy": 1,
    }


def _event(document: dict[str, Any]) -> HealthEvent:
    return HealthEvent(
        id=document["id"],
        node=document["nodeName"],
        at=document["generatedTimestamp"],
        healthy=document["isHealthy"],
        code="".join(document["errorCode"]),
        entities=tuple(Entity(one["entityType"], one["entityValue"]) for one in document["entitiesImpacted"]),
        message=document["message"],
        action=Action(document["recommendedAction"]),
        check=document["checkName"],
    )
