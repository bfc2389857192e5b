"""Claims in the cluster: one Lease per target and one ConfigMap of promises per run, in a namespace of our own."""

import hashlib
from typing import Any

from scenario_runner.adapters.kubernetes_rest import KubernetesRest
from scenario_runner.core.claims import Lease, RunCopy
from scenario_runner.core.clock import Clock
from scenario_runner.core.ports import ObjectRef
from scenario_runner.errors import Refused, TargetRefused

Json = Any
NAMESPACE = "scenario-runner"
_OURS = {"app.kubernetes.io/managed-by": "scenario-runner"}
_SELECTED = {"labelSelector": "app.kubernetes.io/managed-by=scenario-runner"}
_TARGET, _HOST, _HOLDER = "scenario-runner/target", "scenario-runner/host", "scenario-runner/holder"
_BOOT = "scenario-runner/boot"
_CARD, _PROMISES = "run.jsonl", "undo.jsonl"  # keys of the ConfigMap
_MANAGER = {"fieldManager": "scenario-runner"}


class KubernetesClaimStore:
    """
    Implements `core.claims.ClaimStore`. A version is "<uid> <resourceVersion>".

    The namespace is made at the first write if it is absent; raise Refused where that is not allowed.
    """

    def __init__(self, rest: KubernetesRest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
        self._copies = f"/api/v1/namespaces/{NAMESPACE}/configmaps"

    def leases(self) -> tuple[Lease, ...]:
        return tuple(_lease(raw) for raw in self._list(self._leases))

    def lease(self, target: str) -> Lease | None:
        raw = self._rest.get(f"{self._leases}/{lease_name(target)}")
        return None if raw is None else _lease(raw)

    def add_lease(self, lease: Lease) -> Lease:
        return _lease(self._add(self._leases, _lease_json(lease)))

    def write_lease(self, lease: Lease) -> Lease:
        try:
            return _lease(self._write(self._leases, _lease_json(lease), lease.version))
        except TargetRefused as refusal:
            # Who replaces a Lease that is gone would make one, and is told that it is another one: which is a conflict.
            if refusal.code == "Conflict" and self.lease(lease.target) is None:
                raise TargetRefused(f"the Lease of {lease.target} is gone", code="NotFound") from refusal
            raise

    def drop_lease(self, lease: Lease) -> None:
        self._drop(f"{self._leases}/{lease_name(lease.target)}", lease.version)

    def copies(self) -> tuple[RunCopy, ...]:
        return tuple(_copy(raw) for raw in self._list(self._copies) if _is_copy(raw))

    def copy(self, run_id: str) -> RunCopy | None:
        raw = self._rest.get(f"{self._copies}/{copy_name(run_id)}")
        return _copy(raw) if raw is not None and _is_copy(raw) else None

    def add_copy(self, copy: RunCopy) -> RunCopy:
        return _copy(self._add(self._copies, _copy_json(copy)))

    def write_copy(self, copy: RunCopy) -> RunCopy:
        return _copy(self._write(self._copies, _copy_json(copy), copy.version))

    def drop_copy(self, copy: RunCopy) -> None:
        self._drop(f"{self._copies}/{copy_name(copy.run_id)}", copy.version)

    def announce(self, about: ObjectRef, reason: str, message: str) -> None:
        now = f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"
        namespace = about.namespace or "default"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "scenario-runner-", "namespace": namespace},
            "involvedObject": _reference(about),
            "reason": reason,
            "message": message[:1024],
            "type": "Normal",
            "source": {"component": "scenario-runner"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._rest.send("POST", f"/api/v1/namespaces/{namespace}/events", event, _MANAGER)

    def _list(self, path: str) -> list[Json]:
        answer = self._rest.get(path, _SELECTED)
        items: list[Json] = [] if answer is None else answer["items"]
        return items

    def _add(self, path: str, body: Json) -> Json:
        try:
            return self._rest.send("POST", path, body, _MANAGER)
        except TargetRefused as refusal:
            if refusal.code != "NotFound":
                raise
        self._make_namespace()
        return self._rest.send("POST", path, body, _MANAGER)

    def _make_namespace(self) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _OURS}}
        try:
            self._rest.send("POST", "/api/v1/namespaces", body, _MANAGER)
        except TargetRefused as refusal:
            if refusal.code == "AlreadyExists":
                return
            raise Refused(
                f"runs claim their targets in namespace {NAMESPACE}, which does not exist and may not be made by us: "
                f"type `kubectl create namespace {NAMESPACE}` with more rights ({refusal})"
            ) from refusal

    def _write(self, path: str, body: Json, version: str) -> Json:
        metadata = body["metadata"]
        metadata["uid"], _, metadata["resourceVersion"] = version.partition(" ")
        return self._rest.send("PUT", f"{path}/{metadata['name']}", body, _MANAGER)

    def _drop(self, path: str, version: str) -> None:
        uid, _, number = version.partition(" ")
        self._rest.send("DELETE", path, {"preconditions": {"uid": uid, "resourceVersion": number}})


def lease_name(target: str) -> str:
    """Targets may have any name, Leases may not: they are named by a hash and say in words whose they are."""
    return f"target-{hashlib.sha256(target.encode()).hexdigest()[:16]}"


def copy_name(run_id: str) -> str:
    return f"run-{run_id}"


def _lease_json(lease: Lease) -> Json:
    words = {_TARGET: lease.target, _HOST: lease.host, _BOOT: lease.boot}
    spec = {
        "holderIdentity": lease.holder,
        "leaseDurationSeconds": int(lease.seconds),
        "renewTime": lease.renewed,
    }
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease_name(lease.target), "namespace": NAMESPACE, "labels": _OURS, "annotations": words},
        "spec": spec,
    }


def _lease(raw: Json) -> Lease:
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    words = metadata.get("annotations") or {}
    return Lease(
        target=words.get(_TARGET, metadata["name"]),
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        seconds=float(spec.get("leaseDurationSeconds") or 0),
        host=words.get(_HOST, ""),
        boot=words.get(_BOOT, ""),
        version=_version(metadata),
    )


def _copy_json(copy: RunCopy) -> Json:
    words = {_HOLDER: copy.holder}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": copy_name(copy.run_id),
            "namespace": NAMESPACE,
            "labels": _OURS,
            "annotations": words,
        },
        "data": {_CARD: copy.card, _PROMISES: copy.promises},
    }


def _is_copy(raw: Json) -> bool:
    return bool(raw["metadata"]["name"].startswith("run-"))


def _copy(raw: Json) -> RunCopy:
    metadata, data = raw["metadata"], raw.get("data") or {}
    return RunCopy(
        run_id=metadata["name"].removeprefix("run-"),
        holder=(metadata.get("annotations") or {}).get(_HOLDER, ""),
        card=data.get(_CARD, ""),
        promises=data.get(_PROMISES, ""),
        version=_version(metadata),
    )


def _version(metadata: Json) -> str:
    return f"{metadata['uid']} {metadata['resourceVersion']}"


def _reference(about: ObjectRef) -> Json:
    reference = {"apiVersion": about.api_version, "kind": about.kind, "name": about.name}
    if about.namespace:
        reference["namespace"] = about.namespace
    uid = about.uid or (about.name if about.kind == "Node" else "")  # as kubelets do: `kubectl describe` looks for it
    return {**reference, "uid": uid} if uid else reference
