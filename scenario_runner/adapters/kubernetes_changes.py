"""Everything that changes an object of the cluster: edits, claims, created and deleted objects, each conditional."""

from collections.abc import Callable, Mapping
from typing import Any

from scenario_runner.adapters.kubernetes_edits import json_patch, precondition
from scenario_runner.adapters.kubernetes_paths import KubernetesPaths
from scenario_runner.adapters.kubernetes_rest import KubernetesRest
from scenario_runner.core.edits import CLAIM, CLAIM_PATH, claim_of, leaf
from scenario_runner.core.ports import Document, Edit, ObjectRef
from scenario_runner.errors import TargetRefused

Json = Any
_TRIES = 5  # of a change to an object that others write to as well
_MANAGER = {"fieldManager": "scenario-runner"}  # what PATCH takes from the User-Agent, POST is told


class KubernetesChanges:
    """The changing half of `core.ports.Cluster`."""

    def __init__(self, rest: KubernetesRest, paths: KubernetesPaths) -> None:
        self._rest = rest
        self._paths = paths

    def read(self, ref: ObjectRef) -> Document | None:
        raw = self._rest.get(self._paths.of(ref))
        return None if raw is None else _document(ref, raw)

    def edit(self, ref: ObjectRef, resource_version: str, edits: tuple[Edit, ...]) -> Document:
        now = self._same(ref)
        if now.resource_version != resource_version:
            raise _conflict(ref)
        patched = self._patch(now, edits)
        if patched is None:
            raise _conflict(ref)
        return patched

    def claim(self, ref: ObjectRef, claim: str) -> Document:
        def wanted(now: Document) -> tuple[Edit, ...]:
            found = claim_of(now.content)
            if found and found != claim:
                owner = found.partition("/")[0]
                text = f"{ref.kind} {_name(ref)} is being changed by run {owner}: its annotation {CLAIM} says so"
                raise TargetRefused(text, code="Claimed")
            return () if found else (Edit(CLAIM_PATH, None, claim),)

        return self._insist(ref, wanted)

    def edit_claimed(self, ref: ObjectRef, claim: str, edits: tuple[Edit, ...]) -> Document:
        def wanted(now: Document) -> tuple[Edit, ...]:
            if claim_of(now.content) != claim:
                raise TargetRefused(f"{ref.kind} {_name(ref)} is not ours to change any more", code="Conflict")
            for edit in edits:
                _must_be_as_it_was(now, edit)
            return edits

        return self._insist(ref, wanted)

    def create(self, ref: ObjectRef, claim: str, content: Mapping[str, Any]) -> Document:
        metadata = dict(content.get("metadata") or {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), CLAIM: claim}
        metadata["name"] = ref.name
        if ref.namespace:
            metadata["namespace"] = ref.namespace
        body = {**content, "apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}
        path = self._paths.of(ref).rpartition("/")[0]
        return _document(ref, self._rest.send("POST", path, body, _MANAGER))

    def refuses_pod(self, namespace: str, pod: Mapping[str, Any]) -> str:
        body = {**pod, "apiVersion": "v1", "kind": "Pod"}
        try:
            self._rest.send("POST", f"/api/v1/namespaces/{namespace}/pods", body, {**_MANAGER, "dryRun": "All"})
        except TargetRefused as refusal:
            if refusal.code in {"Unauthorized", "NotKubernetes"}:
                raise  # which says nothing about the pod
            # A webhook that takes no dry runs leaves the question open: what it says will be seen when it is asked.
            return "" if "does not support dry run" in str(refusal) else str(refusal)
        return ""

    def delete(self, ref: ObjectRef) -> None:
        options = {"preconditions": {"uid": ref.uid}, "propagationPolicy": "Background"}
        try:
            self._rest.send("DELETE", self._paths.of(ref), options)
        except TargetRefused as refusal:
            if refusal.code != "NotFound":
                raise

    def _insist(self, ref: ObjectRef, wanted: Callable[[Document], tuple[Edit, ...]]) -> Document:
        """A controller that wrote in between is no conflict: the object is read again, and `wanted` judges anew."""
        for _ in range(_TRIES):
            now = self._same(ref)
            edits = wanted(now)
            patched = self._patch(now, edits) if edits else now
            if patched is not None:
                return patched
        raise _conflict(ref)

    def _patch(self, now: Document, edits: tuple[Edit, ...]) -> Document | None:
        """One patch with uid, version and the claim that is on the object as its conditions; None: one did not hold."""
        operations = precondition(now.ref.uid, now.resource_version, claim_of(now.content))
        try:
            patched = self._rest.json_patch(self._paths.of(now.ref), operations + json_patch(now.content, edits))
        except TargetRefused as refusal:
            # A failed test and an invalid result are both 422: only another look tells them apart.
            if refusal.code in {"Invalid", "Conflict"} and self._changed(now):
                return None
            raise
        return _document(now.ref, patched)

    def _same(self, ref: ObjectRef) -> Document:
        now = self.read(ref)
        if now is None or now.ref.uid != ref.uid:
            raise _conflict(ref)
        return now

    def _changed(self, seen: Document) -> bool:
        now = self.read(seen.ref)
        return now is None or (now.ref.uid, now.resource_version) != (seen.ref.uid, seen.resource_version)


def _must_be_as_it_was(now: Document, edit: Edit) -> None:
    found = leaf(now.content, edit.path)
    if found not in (edit.was, edit.became):
        where = f"{'.'.join(edit.path)} of {now.ref.kind} {_name(now.ref)}"
        raise TargetRefused(f"{where} is {found!r} by now, it was {edit.was!r}", code="Conflict")


def _conflict(ref: ObjectRef) -> TargetRefused:
    return TargetRefused(f"{ref.kind} {_name(ref)} has changed since it was read", code="Conflict")


def _name(ref: ObjectRef) -> str:
    return f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name


def _document(ref: ObjectRef, raw: Json) -> Document:
    metadata = raw["metadata"]
    found = ObjectRef(ref.api_version, ref.kind, ref.namespace, ref.name, metadata["uid"])
    return Document(found, metadata["resourceVersion"], raw)
