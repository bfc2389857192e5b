"""Put the CUDA library into a workload."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from zlib import crc32

from pydantic import Field

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.permissions import Permission
from scenario_runner.core.pod_sightings import pods_of
from scenario_runner.core.ports import CudaLibrary, Document, Edit
from scenario_runner.core.rollouts import unfinished
from scenario_runner.core.states import PodState
from scenario_runner.core.step import Context, Step, TargetKinds
from scenario_runner.core.targets import Target, WorkloadTarget
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.errors import DeadlineExceeded, StepBroken
from scenario_runner.workloads.cuda import LIBRARY_FILE, carried_config_map, cuda_edits
from scenario_runner.workloads.pod_templates import document_ref

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # of the nodes' label kubernetes.io/arch
_LARGEST = 1024 * 1024 - 4096  # bytes that an object may have, less what surrounds the library


class PatchCuda(Step):
    """
    Roll a workload out with the library that can make CUDA calls fail; it does nothing until `arm_cuda`.

    Adds a ConfigMap with the library, mounts, and LD_PRELOAD (merged with what is there), waits for the rollout and
    for ready pods, and takes all of it back at the end. Do it before the baseline: our own rollout is over by then.
    """

    role: ClassVar[Role] = Role.ACTION
    bare: ClassVar[str | None] = "target"
    default_timeout: ClassVar[float] = 600.0
    example: ClassVar[str] = """
        patch_cuda: worker
    """

    target: Annotated[str, TargetKinds(("workload",))] = Field(description="The workload that gets the library.")
    containers: tuple[str, ...] = Field((), description="Names of the containers; all of them if left out.")

    def run(self, ctx: Context) -> Finding:
        target = ctx.target(self.target)
        assert isinstance(target, WorkloadTarget)
        document = ctx.cluster.read(document_ref(target))
        if document is None or document.ref.uid != target.uid:
            raise StepBroken(f"{target.kind}/{target.name} is no longer the one that was planned; nothing was changed")
        pods = self._pods(ctx, target)
        library = ctx.libraries.library(_machine(ctx, pods))
        name = carried_config_map(document) or DeleteCreated.name_for(ctx.run.run_id, self._purpose(target))
        edits = cuda_edits(document, name, self.containers)
        if not edits:
            return Finding(f"{target.kind}/{target.name} carries the library already")
        began = ctx.clock.monotonic()
        if not carried_config_map(document):
            self._create(ctx, target, name, library)
        self._edit(ctx, document, edits)
        ctx.run.rolled_out(self.target)
        self._wait(ctx, target)
        moved = ctx.choose_again(self.target)
        carries = f"{target.kind}/{target.name} carries the library; {target.replicas} pods are ready"
        return Finding(
            "; ".join((carries, *moved)),
            {"seconds": ctx.clock.monotonic() - began},
        )

    def replaces(self) -> str | None:
        return self.target

    def changes(self, targets: Mapping[str, Target]) -> list[str]:
        target = targets[self.target]
        assert isinstance(target, WorkloadTarget)
        what = f"{target.namespace}/{target.kind}/{target.name}"
        return [f"{what}: a rollout with the CUDA library in a ConfigMap, and one back at the end"]

    def needs(self, targets: Mapping[str, Target]) -> list[Permission]:
        target = targets[self.target]
        assert isinstance(target, WorkloadTarget)
        group = document_ref(target).api_version.rpartition("/")[0]
        return [
            *(Permission(verb, f"{target.kind}s", group, target.namespace) for verb in ("get", "patch")),
            *(Permission(verb, "configmaps", "", target.namespace) for verb in ("get", "create", "delete")),
        ]

    def _pods(self, ctx: Context, target: WorkloadTarget) -> list[PodState]:
        pods = [pod for pod in ctx.cluster.pods(target.namespace, target.selector) if pod.node and not pod.deleting]
        if not pods:
            raise StepBroken(f"{target.kind}/{target.name} has no pod on any node; nothing was changed")
        return pods

    def _purpose(self, target: WorkloadTarget) -> str:
        return f"cuda-{crc32(f'{target.kind}/{target.name}'.encode()):08x}"

    def _create(self, ctx: Context, target: WorkloadTarget, name: str, library: CudaLibrary) -> None:
        content: dict[str, Any] = {
            "binaryData": {LIBRARY_FILE: base64.b64encode(library.content).decode()},
            "immutable": True,
        }
        size = len(content["binaryData"][LIBRARY_FILE])
        if size > _LARGEST:
            raise StepBroken(
                f"the CUDA library has {size} bytes as text, a ConfigMap holds {_LARGEST} at most: build it stripped"
            )
        undo = DeleteCreated(api_version="v1", kind="ConfigMap", namespace=target.namespace, name=name)
        with ctx.changing(undo) as act:
            undo.make(act, content)

    def _edit(self, ctx: Context, document: Document, edits: list[Edit]) -> None:
        undo = RevertEdits.of(document, edits)
        with ctx.changing(undo) as act:
            undo.make(act)

    def _wait(self, ctx: Context, target: WorkloadTarget) -> None:
        def look() -> Look[None]:
            document = ctx.cluster.read(document_ref(target))
            lacks = "it is gone" if document is None else unfinished(document)
            ready = sum(pod.ready for pod in pods_of(ctx.observations, target))
            if not lacks and ready >= target.replicas:  # the watch may not have told yet that some of them are gone
                now = ctx.cluster.pods(target.namespace, target.selector)
                ready = sum(pod.ready and not pod.deleting for pod in now)
            ctx.progress(f"{ready} of {target.replicas} pods of {self.target} ready" + (f", {lacks}" if lacks else ""))
            done = not lacks and ready >= target.replicas
            return Look(done, lacks or f"{ready} of {target.replicas} pods are ready", None)

        try:
            wait_until(f"rollout of {target.kind}/{target.name}", look, ctx.deadline, every=0.5)
        except DeadlineExceeded as exc:
            raise StepBroken(f"{exc}; is there a free GPU for the pod that comes before an old one goes?") from None


def _machine(ctx: Context, pods: list[PodState]) -> str:
    """What the nodes of the pods are; StepBroken where they differ, as one library fits one kind of machine."""
    names = {pod.node for pod in pods}
    nodes = filter(None, map(ctx.cluster.node, sorted(names)))
    found = {node.labels.get("kubernetes.io/arch", "amd64") for node in nodes}
    if len(found) != 1:
        raise StepBroken(f"the pods run on nodes of several kinds ({', '.join(sorted(found))}): one library fits one")
    (arch,) = found
    return _MACHINES.get(arch, arch)
