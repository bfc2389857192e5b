"""Whether we may do what a plan needs, asked of the API server before anything is touched."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from scenario_runner.adapters.kubeconfig import IN_CLUSTER
from scenario_runner.app.agents import NAMESPACE, NoAgent
from scenario_runner.app.backend import Backend
from scenario_runner.core.permissions import Permission
from scenario_runner.core.plan import Plan
from scenario_runner.core.ports import CudaLibraries
from scenario_runner.core.targets import EndpointTarget, PodTarget, Target, WorkloadTarget
from scenario_runner.errors import Refused
from scenario_runner.workloads.kinds import KINDS

ROLE = "scenario-runner"  # the ClusterRole, and the Role in each namespace, of the Helm chart agent/deploy/runner
_AT_ONCE = 8  # a plan asks about forty times, which would be seconds on a far API server one after the other
_VERBS = ("get", "list", "create", "update", "delete")


def refuse_what_is_not_permitted(plan: Plan, where: Backend) -> None:
    """Raise Refused with a sentence for each verb that we lack; a lab forbids nothing."""
    if where.is_lab:
        return
    wanted = needs(plan, where)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        allowed = tuple(threads.map(where.cluster.may, wanted))
    lacking = [one for one, may in zip(wanted, allowed, strict=True) if not may]
    if lacking:
        raise Refused("\n".join(sentence(one) for one in lacking))


def refuse_what_steps_object_to(plan: Plan, where: Backend, libraries: CudaLibraries) -> None:
    """Raise Refused with a sentence for everything that a step of the plan will not be able to do."""
    found = [
        f"step {planned.id}: {text}"
        for planned in plan.steps
        if planned.when
        for text in planned.step.objections(plan.targets, where.cluster, libraries)
    ]
    if found:
        raise Refused("\n".join(found))


def needs(plan: Plan, where: Backend) -> tuple[Permission, ...]:
    """Everything that a run of the plan will ask of the API server, each once."""
    spaces = _namespaces(plan)
    return tuple(
        dict.fromkeys(
            [
                *_reading(spaces),
                *_custom(plan.targets.values()),
                *_claiming(spaces),
                *_agents(where),
                *_requests(plan),
                *_steps(plan),
            ],
        )
    )


def sentence(lacking: Permission) -> str:
    """Which verb is missing, and what grants it."""
    if lacking.resource == "services/proxy":
        other = (
            "say where the fault agents are with --agent URL" if not lacking.name else "choose another way with --reach"
        )
        return f"we may not {lacking.words}: {other}, or run inside the cluster"
    role = f"Role {ROLE} of that namespace" if lacking.namespace else f"ClusterRole {ROLE}"
    return f"we may not {lacking.words}: the {role} (Helm chart agent/deploy/runner) grants it"


def _namespaces(plan: Plan) -> tuple[str, ...]:
    there = {plan.namespace}
    for target in plan.targets.values():
        if isinstance(target, PodTarget | WorkloadTarget):
            there.add(target.namespace)
        elif isinstance(target, EndpointTarget) and target.service:
            there.add(target.service.partition("/")[0])
    return tuple(sorted(there))


def _reading(spaces: Iterable[str]) -> Iterator[Permission]:
    """What targets, guards and watches look at."""
    yield Permission("get", "namespaces", name="kube-system")
    for verb in ("get", "list", "watch"):
        yield Permission(verb, "nodes")
    yield Permission("list", "namespaces")
    yield Permission("list", "pods")  # whom a drain would hit, in every namespace
    yield Permission("list", "poddisruptionbudgets", "policy")
    for verb in ("list", "watch"):
        for plural in ("rebootnodes", "gpuresets"):
            yield Permission(verb, plural, "janitor.dgxc.nvidia.com")
        for space in dict.fromkeys(("default", *spaces)):  # events about nodes lie in default
            yield Permission(verb, "events", namespace=space)
    for space in spaces:
        yield Permission("watch", "pods", namespace=space)
        yield Permission("get", "pods/log", namespace=space)
        yield Permission("get", "services", namespace=space)
        for plural in ("deployments", "statefulsets", "daemonsets"):
            yield Permission("get", plural, "apps", space)


def _custom(targets: Iterable[Target]) -> Iterator[Permission]:
    """Workloads of kinds that not every cluster knows."""
    for target in targets:
        if isinstance(target, WorkloadTarget) and not KINDS[target.kind].built_in:
            group = target.api_version.partition("/")[0]
            yield Permission("get", KINDS[target.kind].plural, group, target.namespace)


def _claiming(spaces: Iterable[str]) -> Iterator[Permission]:
    """The Leases and promises of runs, and the events that tell whose changes there are."""
    for verb in _VERBS:
        yield Permission(verb, "leases", "coordination.k8s.io", NAMESPACE)
        yield Permission(verb, "configmaps", "", NAMESPACE)
    for space in ("default", *spaces):  # events about nodes lie in default
        yield Permission("create", "events", namespace=space)


def _agents(where: Backend) -> Iterator[Permission]:
    """The way to the fault agents, where the command line does not give one."""
    if "://" in where.address.agent_url or isinstance(where.agent, NoAgent):
        return
    if where.address.context != IN_CLUSTER:
        for verb in ("get", "create"):
            yield Permission(verb, "services/proxy", namespace=NAMESPACE)


def _requests(plan: Plan) -> Iterator[Permission]:
    for target in plan.targets.values():
        if isinstance(target, EndpointTarget) and target.way == "api-proxy":
            space, _, name = target.service.rpartition(":")[0].partition("/")
            verbs = {"get", "create"} if target.chat else {_verb(target.method)}  # chats look their model up first
            yield from (Permission(verb, "services/proxy", "", space, name) for verb in sorted(verbs))


def _verb(method: str) -> str:
    """What the API server calls an HTTP method that its proxy passes on."""
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")


def _steps(plan: Plan) -> Iterator[Permission]:
    for planned in plan.steps:
        if planned.when:
            yield from planned.step.needs(plan.targets)
