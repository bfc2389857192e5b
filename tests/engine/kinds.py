"""Small kinds of steps for tests of the engine: just enough of each role."""

from typing import ClassVar, Literal

from scenario_runner.core.clock import Look, wait_until
from scenario_runner.core.faults import FAULT_TTL, Fault
from scenario_runner.core.outcome import Finding, Role
from scenario_runner.core.ports import Edit, Injection, ObjectRef
from scenario_runner.core.samples import LoadOrder
from scenario_runner.core.step import Context, Step
from scenario_runner.core.targets import GpuTarget
from scenario_runner.core.undo.delete_created import DeleteCreated
from scenario_runner.core.undo.recover_fault import RecoverFault
from scenario_runner.core.undo.revert_edits import RevertEdits
from scenario_runner.errors import StepBroken, StepFailed


class Kind(Step):
    example: ClassVar[str] = ""

    @classmethod
    def kind(cls) -> str:
        return "".join(f"_{one.lower()}" if one.isupper() else one for one in cls.__name__).lstrip("_")


class Inject(Kind):
    role: ClassVar[Role] = Role.FAULT
    xid: int = 79
    target: str = "victim"
    node: str = ""
    expect: str = "observed"
    duration: float | None = None
    ttl: float | None = FAULT_TTL

    def run(self, ctx: Context) -> Finding:
        victim = ctx.target(self.target)
        assert isinstance(victim, GpuTarget)
        node = self.node or victim.node.name
        seat = ctx.agent.gpus(node)[0]
        order = Injection(
            f"{ctx.run.run_id}-{ctx.step_id}", node, self.xid, seat.uuid, ctx.run.run_id,
            duration=self.duration, ttl=self.ttl,
        )  # fmt: skip
        with ctx.changing(RecoverFault(fault_id=order.fault_id, node=node, xid=self.xid)) as act:
            record = act.agent.inject(order)
        ctx.run.add_fault(
            Fault(
                record.fault_id,
                ctx.step_id,
                self.xid,
                node,
                record.gpu_index,
                record.gpu_uuid,
                record.pci,
                ctx.clock.monotonic(),
                self.expect,
                self.duration,
            )
        )
        return Finding(f"XID {self.xid} on {node}")


class Retouch(Kind):
    """Change one value of the Deployment."""

    role: ClassVar[Role] = Role.ACTION
    value: str = "big"

    def run(self, ctx: Context) -> Finding:
        document = ctx.cluster.read(ObjectRef("apps/v1", "Deployment", "dynamo", "vllm-decode"))
        assert document is not None
        path = ("spec", "template", "spec", "containers", "name=main", "env", "name=MODEL", "value")
        undo = RevertEdits.of(document, [Edit(path, "tiny", self.value)])
        with ctx.changing(undo) as act:
            undo.make(act)
        return Finding("retouched")


class Furnish(Kind):
    """Create a ConfigMap."""

    role: ClassVar[Role] = Role.ACTION

    def run(self, ctx: Context) -> Finding:
        name = DeleteCreated.name_for(ctx.run.run_id, "library")
        undo = DeleteCreated(api_version="v1", kind="ConfigMap", namespace="dynamo", name=name)
        with ctx.changing(undo) as act:
            undo.make(act, {"data": {"library": "bytes"}})
        return Finding("furnished")


class TakeBack(Kind):
    role: ClassVar[Role] = Role.ACTION
    of: str = "inject"

    def run(self, ctx: Context) -> Finding:
        return ctx.take_back(self.of)


class Send(Kind):
    role: ClassVar[Role] = Role.LOAD
    can_run_in_background: ClassVar[bool] = True
    reads_only: ClassVar[bool] = True
    rate: float = 10.0
    duration: float | None = None
    request_timeout: float = 5.0

    def run(self, ctx: Context) -> Finding:
        order = LoadOrder(
            ctx.step_id,
            "http://127.0.0.1",
            rate=self.rate,
            duration=self.duration,
            request_timeout=self.request_timeout,
        )
        load = ctx.run.add_load(ctx.step_id, order, ctx.loads.start(order))
        if ctx.background:
            return Finding("flowing")
        ctx.clock.sleep(self.duration or 0.0)
        wait_until("requests to end", lambda: Look(load.run.finished, "", None), ctx.deadline)
        if load.run.broken:
            raise StepBroken(load.run.broken)
        return self.finish(ctx)

    def finish(self, ctx: Context) -> Finding:
        chosen = ctx.run.load(ctx.step_id).run.samples.select()
        return Finding(f"{chosen.succeeded} of {chosen.total}")


class Join(Kind):
    role: ClassVar[Role] = Role.ACTION
    load: str = "send"

    def run(self, ctx: Context) -> Finding:
        load = ctx.run.load(self.load)
        load.run.stop()
        wait_until("requests to end", lambda: Look(load.run.finished, "", None), ctx.deadline, every=0.5)
        ctx.run.joined(self.load)
        return Finding("joined")


class AssertRatio(Kind):
    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    load: str = "send"
    during: str = ""
    least: float = 0.9
    min_requests: int = 5

    def run(self, ctx: Context) -> Finding:
        windows = ctx.run.window(self.during) if self.during else None
        chosen = ctx.run.load(self.load).run.samples.select(windows)
        if chosen.total < self.min_requests:
            raise StepBroken(f"{chosen.total} of at least {self.min_requests}")
        if chosen.succeeded < self.least * chosen.total:
            raise StepFailed(f"{chosen.succeeded} of {chosen.total} requests succeeded")
        return Finding(f"{chosen.succeeded} of {chosen.total} requests succeeded")


class Claim(Kind):
    """An assertion whose verdict is written in the scenario."""

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    says: Literal["passed", "failed", "broken", "bug"] = "passed"

    def run(self, ctx: Context) -> Finding:
        del ctx
        if self.says == "failed":
            raise StepFailed("it is not so")
        if self.says == "broken":
            raise StepBroken("nobody knows")
        if self.says == "bug":
            raise ZeroDivisionError("oops")
        return Finding("it is so")


class Pause(Kind):
    role: ClassVar[Role] = Role.ACTION
    reads_only: ClassVar[bool] = True
    seconds: float = 5.0

    def run(self, ctx: Context) -> Finding:
        ctx.clock.sleep(self.seconds)
        return Finding(f"{self.seconds:g}s")


class WaitFor(Kind):
    """Wait until a fact of the victim's node has a value."""

    role: ClassVar[Role] = Role.WAIT
    reads_only: ClassVar[bool] = True
    fact: str = "schedulable"
    value: str = "false"

    def run(self, ctx: Context) -> Finding:
        def look() -> Look[str]:
            now = ctx.observations.value("node", "gpu-1", self.fact)
            return Look(now == self.value, f"it is {now!r}", now)

        return Finding(wait_until(f"{self.fact} of gpu-1 did not become {self.value!r}", look, ctx.deadline))


class Flaky(Kind):
    """Fail as often as told, by a counter that lies with the requests of the run."""

    role: ClassVar[Role] = Role.ASSERTION
    reads_only: ClassVar[bool] = True
    until: float = 10.0

    def run(self, ctx: Context) -> Finding:
        if ctx.clock.monotonic() < self.until:
            raise StepFailed(f"not before {self.until:g}s, it is {ctx.clock.monotonic():g}s")
        return Finding("at last")


class Hit(Kind):
    """Note what a reader of hit counters would note."""

    role: ClassVar[Role] = Role.WAIT
    by: Literal["hit", "probe"]

    def run(self, ctx: Context) -> Finding:
        ctx.observations.note("fault", ctx.run.faults[0].fault_id, "evidence", self.by)
        return Finding("counted")
