"""What travels over HTTP about CUDA faults: rules, orders, hits."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StrictStr

from fault_agent.arming import ArmOrder
from fault_agent.cuda_profiles import Profile
from fault_agent.cuda_rules import ClassName, CudaPart, CudaRule, ModeName, Scope, class_bits, class_names
from fault_agent.refusal import Refusal
from fault_agent.shapes import DAY, GpuId, Message, NodeName, Request, RunName, Seconds, UnreachableNode

Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Code = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Span = Annotated[float, Field(strict=True, ge=0, le=7 * DAY, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0.000001, le=1, allow_inf_nan=False)]
ProcessName = Annotated[StrictStr, Field(max_length=15, pattern=r"^[!-~]*$")]


class RuleMessage(Request):
    """What is done to which calls of which processes."""

    classes: tuple[ClassName, ...] = Field(min_length=1, description="kinds of driver calls")
    mode: ModeName
    code: Code = Field(0, description="CUresult that a call of the driver answers; 0 = it passes, late")
    nvml_code: Code = Field(0, description="nvmlReturn_t that a call of NVML answers")
    scope: Scope = Field("device", description="how far a sticky error reaches in its process")
    after_calls: Count = Field(0, description="so many matching calls pass first, per process")
    not_before: Span = Field(0.0, description="seconds after arming")
    probability: Share = 1.0
    max_hits: Count = Field(0, description="per process; 0 = no limit")
    min_bytes: Count = Field(0, description="only allocations whose size argument is at least this")
    delay: Span = Field(0.0, description="seconds: of a delay, of the longest hang")
    free_bytes: Count = Field(0, description="what an `oom` leaves to be seen as free")
    process: ProcessName = Field("", description="only processes of this name, as in /proc/PID/comm")
    running_only: StrictBool = Field(
        default=False,
        description="only processes that have started CUDA when the rule begins; one that starts later is healthy",
    )


class RuleChanges(Request):
    """Fields of a profile's rules that are to be different."""

    code: Code | None = None
    nvml_code: Code | None = None
    scope: Scope | None = None
    after_calls: Count | None = None
    not_before: Span | None = None
    probability: Share | None = None
    max_hits: Count | None = None
    min_bytes: Count | None = None
    delay: Span | None = None
    free_bytes: Count | None = None
    process: ProcessName | None = None
    running_only: StrictBool | None = None


class ArmRequest(Request):
    """Exactly one of `profile`, `xid` and `rules`; at least one of `duration`, `ttl` and `max_lifetime`."""

    node_name: NodeName
    gpu_id: GpuId = Field(0, description="as for an XID, or `all` GPUs of the node")
    profile: Annotated[StrictStr, Field(min_length=1, max_length=60)] | None = None
    xid: Annotated[StrictInt, Field(ge=1, le=999)] | None = Field(None, description="the profile of that XID")
    rules: Annotated[tuple[RuleMessage, ...], Field(min_length=1, max_length=8)] | None = None
    override: RuleChanges | None = Field(None, description="only with `profile` or `xid`")
    duration: Seconds | None = Field(None, description="the fault ends at this age")
    ttl: Seconds | None = Field(None, description="the fault ends unless it is renewed within this time")
    max_lifetime: Seconds | None = Field(None, description="no renewal keeps the fault longer")
    run: RunName | None = None

    def order(self) -> ArmOrder:
        """Raises Refusal 422 unless exactly one way to choose the rules is taken."""
        chosen = [self.profile is not None, self.xid is not None, self.rules is not None]
        if chosen.count(True) != 1:
            raise Refusal(422, "invalid_request", "body: send exactly one of profile, xid and rules.")
        if self.rules is not None and self.override is not None:
            raise Refusal(422, "invalid_request", "body.override: rules need no override.")
        rules = tuple(_rule(rule) for rule in self.rules or ())
        changes = {} if self.override is None else self.override.model_dump(exclude_none=True)
        return ArmOrder(
            gpu_id=self.gpu_id,
            profile=self.profile,
            xid=self.xid,
            rules=rules,
            override=tuple(sorted(changes.items())),
            duration=self.duration,
            ttl=self.ttl,
            max_lifetime=self.max_lifetime,
            run=self.run,
        )


class DisarmRequest(Request):
    fault_id: Annotated[StrictStr, Field(min_length=3, max_length=400)]


class ControlReply(Message):
    path: str
    generation: int
    boot_id: str


class CudaRecord(Message):
    profile: str | None
    rules: list[RuleMessage]
    control: ControlReply | None = Field(description="the control file that was read back")


class ProfileLine(Message):
    """One rule of a profile, what it rests on, and whether it was seen on a GPU."""

    rule: RuleMessage
    evidence: str
    measured: bool


class ProfileReply(Message):
    """One kind of broken GPU; of its rules the first that fits a call wins."""

    name: str
    title: str
    xids: list[int]
    running_process: str
    new_process: str
    lines: list[ProfileLine]


class OwnerReply(Message):
    namespace: str
    pod: str
    container: str | None = Field(description="None where the pod is known by its uid only")


class HitReply(Message):
    """What one rule of one fault did to one process."""

    fault_id: str
    rule: int = Field(description="index in the rules of the fault")
    gpu_uuid: str | None
    calls: int = Field(description="calls that matched, hit or not")
    hits: int = Field(description="calls of the driver that were failed, delayed or blocked")
    nvml_hits: int
    code: int = Field(description="what the last hit answered")
    function: str = Field(description="of the first hit")
    first_hit_at: str
    last_hit_at: str


class CudaProcess(Message):
    """A process that uses CUDA; `pid` None = it does not run any more."""

    pid: int | None
    process: str
    owner: OwnerReply | None
    pod_uid: str | None
    container_id: str | None
    probe: bool = Field(description="came by exec: a probe or a visitor, not the workload itself")


class HitProcess(CudaProcess):
    container_pid: int
    hits: list[HitReply]


class ScanReply(Message):
    """How much of the node was seen: without the host's pid namespace only processes of the agent's own."""

    processes: int
    unreadable: int
    host_pid_namespace: bool


class ControlNow(Message):
    path: str
    generation: int


class NodeHits(Message):
    node: str
    boot_id: str
    control: ControlNow | None
    armed: list[str]
    processes: list[HitProcess]
    without_library: list[CudaProcess] = Field(description="use CUDA, but no fault can reach them")
    scan: ScanReply
    unreadable: list[str] = Field(description="files among the hits that are no records")


class HitsReply(Message):
    nodes: list[NodeHits]
    unreachable: list[UnreachableNode]


def cuda_record(part: CudaPart) -> CudaRecord:
    """The public form of what a CUDA fault has beside other faults."""
    control = None if part.control is None else ControlReply(**vars(part.control))
    return CudaRecord(profile=part.profile, rules=[_shown(rule) for rule in part.rules], control=control)


def profile_reply(row: Profile) -> ProfileReply:
    lines = [ProfileLine(rule=_shown(line.rule), evidence=line.evidence, measured=line.measured) for line in row.lines]
    return ProfileReply(
        name=row.name,
        title=row.title,
        xids=list(row.xids),
        running_process=row.running_process,
        new_process=row.new_process,
        lines=lines,
    )


def _rule(rule: RuleMessage) -> CudaRule:
    return CudaRule(**{**dict(rule), "classes": class_bits(rule.classes)})


def _shown(rule: CudaRule) -> RuleMessage:
    return RuleMessage(**{**vars(rule), "classes": class_names(rule.classes)})
