"""Every fragment once: created with it, patched with it in each way, and every deletion; each a small play."""

from collections.abc import Mapping, Sequence

from tests.contract.kubernetes.calls import DELETIONS, FRAGMENTS, META, OPERATIONS, ROOTS, SELECTIONS
from tests.contract.kubernetes.patching import deep
from tests.contract.kubernetes.server import Json, api_version

Play = Sequence[Json]
_METADATA_OF = "ConfigMap"  # metadata is the same for all kinds


def plays() -> Mapping[str, Play]:
    """By name, such as `Pod 3 strategic`; the numbers are those of the fragments."""
    found: dict[str, Play] = {}
    for kind, fragments in FRAGMENTS.items():
        for number, fragment in enumerate(fragments):
            found |= _all_ways(f"{kind} {number}", kind, fragment)
    for number, meta in enumerate(META):
        found |= _all_ways(f"metadata {number}", _METADATA_OF, {"metadata": meta})
    return found | _deletions() | _others()


def _deletions() -> dict[str, Play]:
    found: dict[str, Play] = {}
    for number, options in enumerate(DELETIONS):
        for kind, fragment in (("ConfigMap", {}), ("Pod", {"spec": {"nodeName": "nowhere"}})):
            last = {"do": "delete", "kind": kind, "name": "a", "body": options}
            look = {"do": "read", "kind": kind, "name": "a"}
            found[f"deletion {number} of {kind}"] = [create(kind, fragment), last, look]
    return found


def _others() -> dict[str, Play]:
    found: dict[str, Play] = {}
    for number, operation in enumerate(OPERATIONS):
        for kind in ("ConfigMap", "Deployment", "Pod"):
            patch = {"do": "json", "kind": kind, "name": "a", "body": [operation]}
            found[f"operation {number} on {kind}"] = [create(kind, {}), patch]
    for number, query in enumerate(SELECTIONS):
        listing = {"do": "list", "kind": "Pod", "query": query}
        found[f"selection {number}"] = [create("Pod", {"metadata": {"labels": {"app": "x"}}}), listing]
    return found


def create(kind: str, fragment: Json) -> Json:
    whole = {"apiVersion": api_version(kind), "kind": kind, "metadata": {"name": "a"}}
    return {"do": "create", "kind": kind, "body": deep(deep(whole, ROOTS.get(kind, {})), fragment)}


def _all_ways(name: str, kind: str, fragment: Json) -> dict[str, Play]:
    found: dict[str, Play] = {}
    if not {"{uid}", "{version}"} & set(map(str, fragment.get("metadata", {}).values())):  # those need an object
        found[f"{name} create"] = [create(kind, fragment)]
    for do in ("merge", "strategic"):
        found[f"{name} {do}"] = [create(kind, {}), {"do": do, "kind": kind, "name": "a", "body": fragment}]
    replacement = create(kind, fragment) | {"do": "replace", "name": "a"}
    found[f"{name} replace"] = [create(kind, {}), replacement]
    return found
