"""Records Events, counting a repeated one instead of writing it again."""

import hashlib
from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.objects import Json, dig, timestamp


@dataclass(frozen=True)
class Note:
    """What an event says: its type (`Normal`, `Warning`), reason, message, and the component that speaks."""

    reason: str
    message: str
    component: str
    type: str = "Normal"


@dataclass(frozen=True)
class Recorder:
    """Writes events about objects into their namespace (`default` for objects that have none)."""

    api: Api

    def record(self, about: Json, note: Note) -> None:
        meta = about["metadata"]
        digest = hashlib.sha1("".join((meta["uid"], note.reason, note.message)).encode(), usedforsecurity=False)
        name = f"{meta['name']}.{digest.hexdigest()[:16]}"
        namespace = meta.get("namespace") or "default"
        if dig(self.api.find(self.api.at("namespaces", name=namespace)), "status.phase") != "Active":
            return  # a namespace that is going takes no new objects
        at = self.api.at("events", namespace, name)
        if self.api.find(at):
            self.api.change(at, self._counted)
        else:
            self.api.create(at, self._event(about, note, name, namespace))

    def _counted(self, event: Json) -> Json:
        return event | {"count": event["count"] + 1, "lastTimestamp": timestamp(self.api.now())}

    def _event(self, about: Json, note: Note, name: str, namespace: str) -> Json:
        meta, now = about["metadata"], timestamp(self.api.now())
        involved = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": meta["name"], "uid": meta["uid"]}
        involved["resourceVersion"] = meta["resourceVersion"]
        if "namespace" in meta:
            involved["namespace"] = meta["namespace"]
        event: Json = {"metadata": {"name": name, "namespace": namespace}, "involvedObject": involved}
        event |= {"type": note.type, "reason": note.reason, "message": note.message, "count": 1}
        event |= {"firstTimestamp": now, "lastTimestamp": now, "source": {"component": note.component}}
        return event | {"reportingComponent": note.component, "reportingInstance": ""}
