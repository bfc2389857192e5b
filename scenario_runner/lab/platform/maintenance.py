"""The custom resources that ask for a repair: RebootNode and GPUReset."""

from dataclasses import dataclass

from scenario_runner.lab.platform.api import Json
from scenario_runner.lab.platform.cluster import GROUP, VERSION


@dataclass(frozen=True)
class Kind:
    """A kind of repair; `done` is the condition that becomes True when it worked and False when it failed."""

    kind: str
    plural: str
    done: str


REBOOT = Kind("RebootNode", "rebootnodes", "NodeReady")
RESET = Kind("GPUReset", "gpuresets", "Complete")
KINDS = (REBOOT, RESET)


def definitions() -> list[Json]:
    return [_definition(kind) for kind in KINDS]


def _definition(kind: Kind) -> Json:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Cluster", "names": names, "versions": [version]},
    }


def body(kind: Kind, name: str, node: str, gpus: tuple[str, ...]) -> Json:
    """The object that asks for a repair of `node`; `gpus` are UUIDs, for a reset."""
    spec: Json = {"nodeName": node}
    if kind is RESET:
        spec["selector"] = {"uuids": list(gpus)}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def verdict(kind: Kind, found: Json | None) -> bool | None:
    """True: it worked; False: it failed; None: not decided yet."""
    for condition in ((found or {}).get("status") or {}).get("conditions") or []:
        if condition["type"] == kind.done:
            return bool(condition["status"] == "True")
        if condition["type"] == "SignalSent" and condition["status"] == "False":
            return False
    return None
