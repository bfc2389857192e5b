"""Put the CUDA library into a workload."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from zlib import crc32

from pydantic import Field, model_validator

from scenario_runner.core.aiming import strike_each, would_strike
from scenario_runner.core.arming import CudaFault, arm
from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.cuda import counted
from scenario_runner.core.edits import edited
from scenario_runner.core.faults import Strike
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.permissions import Permission
from scenario_runner.core.pod_sightings import pods_of
from scenario_runner.core.ports import ClusterReads, CudaLibraries, Document, Edit, ObjectRef
from scenario_runner.core.states import PodState
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import Target, WorkloadTarget
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.errors import DeadlineExceeded, StepBroken
from scenario_runner.gpu.profiles import profiles
from scenario_runner.workloads.cuda import (
    LIBRARY_FILE,
    carried_config_map,
    cuda_edits,
    env_sources,
    in_place_edits,
    pin_edits,
    unread_secrets,
)
from scenario_runner.workloads.kinds import KINDS
from scenario_runner.workloads.pod_templates import document_ref, pods
from scenario_runner.workloads.rollout import look_at_rollout, running_pods

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # of the nodes' label kubernetes.io/arch
_LARGEST = 1024 * 1024 - 4096  # bytes that an object may have, less what surrounds the library
_HOSTNAME = "kubernetes.io/hostname"


class PatchCuda(Step):
    """
    Roll a workload out with the library that can make CUDA calls fail; it does nothing until `arm_cuda`.

    Adds a ConfigMap with the library, mounts, and LD_PRELOAD (merged with what is there), waits for the rollout and
    for ready pods, and takes all of it back at the end. Do it before the baseline: our own rollout is over by then,
    and victims that were found through these pods are chosen again where they moved. `armed: true` arms as soon as
    the new pods are ready, like an `arm_cuda` with the same `victim`, `xid` or `profile`, and waits until a process
    has run into the fault.
    """

    role: ClassVar[Role] = Role.ACTION
    bare: ClassVar[str | None] = "target"
    default_timeout: ClassVar[float] = 600.0
    example: ClassVar[str] = """
        patch_cuda: worker
    """

    target: Annotated[str, TargetKinds(("workload",))] = Field(description="The workload that gets the library.")
    containers: tuple[str, ...] = Field((), description="Names of the containers; all of them if left out.")
    pin: bool = Field(
        default=False, description="Keep the new pods on the nodes where the pods are now; taken back with the rest."
    )
    in_place: bool = Field(
        default=False,
        description="Let an old pod of a Deployment go before its successor comes, where no GPU is spare; its own "
        "strategy is set back at the end, after the rollout back.",
    )
    armed: bool = Field(default=False, description="Arm a fault as soon as the new pods are ready.")
    victim: Annotated[str, TargetKinds(("gpu", "node", "nodes"))] | None = Field(
        None, description="With `armed`: the GPU or node(s) that fail."
    )
    xid: int | None = Field(None, ge=1, le=999, description="With `armed`: fail as after this XID.")
    profile: str | None = Field(None, description="With `armed`: fail as this row of the table of CUDA profiles says.")

    @model_validator(mode="after")
    def _is_armed_or_not(self) -> "PatchCuda":
        given = [name for name in ("victim", "xid", "profile") if getattr(self, name) is not None]
        if not self.armed and given:
            raise ValueError(f"{given[0]} is for `armed: true`; without it the library does nothing until `arm_cuda`")
        if self.armed and (self.victim is None or (self.xid is None) == (self.profile is None)):
            raise ValueError("armed needs a victim, and either xid or profile")
        if self.armed:
            profiles().find(self._wanted)
        return self

    def run(self, ctx: Context) -> Finding:
        target = self._workload(ctx.plan.targets)
        made = self._prepare(target, ctx.cluster, ctx.libraries, ctx.run.run_id)
        if not made.edits:
            told, began = [f"{target.kind}/{target.name} carries the library already"], None
        else:
            began = ctx.clock.monotonic()
            told = [self._roll_out(ctx, target, made), *made.unread, *ctx.choose_again(self.target)]
        if self.armed:
            told += [self._arm(ctx), self._first_hit(ctx)]
        return Finding("; ".join(told), {} if began is None else {"seconds": ctx.clock.monotonic() - began})

    def objections(
        self, targets: Mapping[str, Target], cluster: ClusterReads, libraries: CudaLibraries
    ) -> Iterator[str]:
        try:
            self._prepare(self._workload(targets), cluster, libraries, "")
        except StepBroken as exc:
            yield str(exc)

    def replaces(self) -> str | None:
        return self.target

    def pins(self) -> str | None:
        return self.target if self.pin else None

    def strikes(self) -> Strike | None:
        return Strike(self._fault.words, target=self.victim or "") if self.armed else None

    def changes(self, targets: Mapping[str, Target]) -> list[str]:
        target = self._workload(targets)
        pinned = ", kept on its nodes," if self.pin else ""
        pinned += " in place" if self.in_place else ""
        what = f"{target.namespace}/{target.kind}/{target.name}"
        said = [f"{what}: a rollout{pinned} with the CUDA library in a ConfigMap, and one back at the end"]
        if self.armed and self.victim:
            said += would_strike(targets, self.victim, 0, f"{self._fault.words} for processes that use")
        return said

    def needs(self, targets: Mapping[str, Target]) -> list[Permission]:
        target = self._workload(targets)
        group = target.api_version.rpartition("/")[0]
        return [
            *(Permission(verb, KINDS[target.kind].plural, group, target.namespace) for verb in ("get", "patch")),
            *(Permission(verb, "configmaps", "", target.namespace) for verb in ("get", "create", "delete")),
            Permission("create", "pods", "", target.namespace),  # only ever asked whether it would be admitted
        ]

    @property
    def _wanted(self) -> int | str:
        return self.profile if self.profile is not None else self.xid or 0

    @property
    def _fault(self) -> CudaFault:
        return CudaFault(profiles().find(self._wanted).name, self.xid or 0)

    def _workload(self, targets: Mapping[str, Target]) -> WorkloadTarget:
        target = targets[self.target]
        assert isinstance(target, WorkloadTarget)
        return target

    def _prepare(
        self, target: WorkloadTarget, cluster: ClusterReads, libraries: CudaLibraries, run_id: str
    ) -> "_Prepared":
        """Everything that can be found out beforehand; StepBroken with a sentence, and nothing was changed."""
        what = f"{target.kind}/{target.name}"
        document = cluster.read(document_ref(target))
        if document is None or document.ref.uid != target.uid:
            raise StepBroken(f"{what} is no longer the one that was planned; nothing was changed")
        if target.replicas == 0:
            raise StepBroken(f"{what} has zero replicas: nobody would load the library; scale it up first")
        there = running_pods(cluster, target)
        if not there:
            raise StepBroken(f"{what} has no pod on any node; nothing was changed")
        carried = carried_config_map(document)
        name = carried or DeleteCreated.name_for(run_id, f"cuda-{crc32(what.encode()):08x}")
        edits = cuda_edits(document, name, self.containers)
        _must_not_hide_a_preload(cluster, document, self.containers)
        if edits and self.pin:
            edits += pin_edits(document, _hosts(cluster, there))
        strategy = in_place_edits(document) if edits and self.in_place else []
        content = {} if carried or not edits else _config_map(libraries, _machine(cluster, there))
        if edits:
            _must_be_admitted(cluster, target, document, edits, in_place=self.in_place)
        unread = tuple(unread_secrets(document, self.containers))
        return _Prepared(document, tuple(edits), name, content, tuple(there), tuple(strategy), unread)

    def _roll_out(self, ctx: Context, target: WorkloadTarget, made: "_Prepared") -> str:
        if made.content:
            created = DeleteCreated(api_version="v1", kind="ConfigMap", namespace=target.namespace, name=made.name)
            with ctx.changing(created) as act:
                created.make(act, made.content)
        undo = RevertEdits.of(made.document, made.edits, late=made.strategy)
        with ctx.changing(undo) as act:
            undo.make(act)
        ctx.run.rolled_out(self.target)
        self._wait(ctx, target, made.pods)
        way = ", each in the place of an old one (maxSurge 0, maxUnavailable 1)" if made.strategy else ""
        return f"{target.kind}/{target.name} carries the library; {target.replicas} pods are ready{way}"

    def _wait(self, ctx: Context, target: WorkloadTarget, before: Sequence[PodState]) -> None:
        def look() -> Look[None]:
            seen = sum(pod.ready for pod in pods_of(ctx.observations, target))
            found = look_at_rollout(ctx.cluster, target, before, seen)
            ctx.progress(f"rollout of {self.target}: {found.seen}")
            return found

        try:
            wait_until(f"rollout of {target.kind}/{target.name}", look, ctx.deadline, every=0.5)
        except DeadlineExceeded as exc:
            hint = "is there a free GPU for the pod that comes before an old one goes? in_place: true needs none"
            raise StepBroken(f"{exc}" if self.in_place else f"{exc}; {hint}") from None

    def _arm(self, ctx: Context) -> str:
        assert self.victim is not None
        return strike_each(ctx, self.victim, 0, lambda node, seat: arm(ctx, self._fault, node, seat)).summary

    def _first_hit(self, ctx: Context) -> str:
        """Wait until a process of a pod has run into each fault that was just armed."""
        ours = [fault for fault in ctx.run.faults if fault.step_id == ctx.step_id]

        def look() -> Look[str]:
            found = [hit for fault in ours for hit in counted(ctx.run.hits(fault.fault_id).processes)]
            missing = [one.node for one in ours if not counted(ctx.run.hits(one.fault_id).processes)]
            seen = f"no process of a pod on {', '.join(missing)} ran into it"
            first = min(found, key=lambda hit: hit.first, default=None)
            return Look(done=not missing, seen=seen, value=f"first hit: {first.pod}, {first.function}" if first else "")

        try:
            return wait_until(f"{self._fault.words} is armed", look, ctx.deadline, every=0.25)
        except DeadlineExceeded as exc:
            raise StepBroken(f"{exc}: does it use that GPU?") from None


@dataclass(frozen=True)
class _Prepared:
    """What will be changed; no edits: it carries the library already. `content` is empty where its ConfigMap exists."""

    document: Document
    edits: tuple[Edit, ...]
    name: str
    content: Mapping[str, Any]
    pods: tuple[PodState, ...]
    strategy: tuple[Edit, ...] = ()
    unread: tuple[str, ...] = ()  # sentences about what can not be known


def _config_map(libraries: CudaLibraries, machine: str) -> dict[str, Any]:
    text = base64.b64encode(libraries.library(machine).content).decode()
    if len(text) > _LARGEST:
        raise StepBroken(
            f"the CUDA library has {len(text)} bytes as text, a ConfigMap holds {_LARGEST} at most: build it stripped"
        )
    return {"binaryData": {LIBRARY_FILE: text}, "immutable": True}


def _must_not_hide_a_preload(cluster: ClusterReads, document: Document, containers: Sequence[str]) -> None:
    """A variable of a container's own hides one of the same name that comes from a ConfigMap (envFrom)."""
    for source in env_sources(document, containers):
        found = cluster.read(ObjectRef("v1", "ConfigMap", document.ref.namespace, source.name))
        names = {source.prefix + key for key in ((found.content.get("data") or {}) if found else {})}
        if "LD_PRELOAD" in names:
            raise StepBroken(
                f"container {source.container} of {document.ref.kind} {document.ref.name} takes LD_PRELOAD from"
                f" ConfigMap {source.name} (envFrom), and ours would hide it: write it as a value, or name other"
                " containers"
            )


def _must_be_admitted(
    cluster: ClusterReads, target: WorkloadTarget, document: Document, edits: Sequence[Edit], *, in_place: bool
) -> None:
    """Workloads are admitted with a warning where their pods will not be: what is tried is a pod."""
    patched = Document(document.ref, document.resource_version, edited(document.content, edits))
    for pod in pods(patched):
        name = f"{target.name}-scenario-runner"
        refused = cluster.refuses_pod(target.namespace, {**pod, "metadata": {**pod["metadata"], "name": name}})
        one_more = "exceeded quota" in refused  # a quota has room for a pod that takes another one's place
        if not refused or (one_more and (in_place or target.kind != "deployment")):
            continue
        what, why = f"pods of {target.kind}/{target.name} with the CUDA library would not be admitted", f": {refused}"
        if "violates PodSecurity" in refused:
            label = "pod-security.kubernetes.io/enforce=privileged"
            reason = ", as it reaches the node's control file by hostPath"
            why = f"{reason}: label namespace {target.namespace} {label}, or drill elsewhere; {refused}"
        raise StepBroken(what + why + ("; in_place: true lets an old one go first" if one_more else ""))


def _machine(cluster: ClusterReads, there: Sequence[PodState]) -> str:
    """What the nodes of the pods are; StepBroken where they differ, as one library fits one kind of machine."""
    names = {pod.node for pod in there}
    nodes = filter(None, map(cluster.node, sorted(names)))
    found = {node.labels.get("kubernetes.io/arch", "amd64") for node in nodes}
    if len(found) != 1:
        raise StepBroken(f"the pods run on nodes of several kinds ({', '.join(sorted(found))}): one library fits one")
    (arch,) = found
    return _MACHINES.get(arch, arch)


def _hosts(cluster: ClusterReads, there: Sequence[PodState]) -> list[str]:
    names = {pod.node for pod in there}
    return sorted({node.labels.get(_HOSTNAME, node.name) for node in filter(None, map(cluster.node, sorted(names)))})
