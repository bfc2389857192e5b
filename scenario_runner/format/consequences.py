"""What faults will make the platform do, and whom that hits: what a person should know before saying yes."""

from collections.abc import Iterator, Sequence

from scenario_runner.core.ports import ClusterReads
from scenario_runner.core.selectors import matches
from scenario_runner.core.states import BudgetState, PodState
from scenario_runner.format.guards import Victim

_GPU_LABEL = "nvidia.com/gpu.present=true"
_MANY = 8  # pods in a line


def consequences(hit: Sequence[Victim], cluster: ClusterReads) -> tuple[str, ...]:
    """A line for each: the platform's answers, the pods of every namespace in their way, and budgets that slow them."""
    lines = [_answer(victim) for victim in hit if victim.xid]
    answered = sorted({one.node.name for one in hit if one.consequences})
    drained = sorted({one.node.name for one in hit if "drain" in one.consequences})
    budgets = cluster.budgets() if drained else ()
    for node in answered:
        there = sorted((pod for pod in cluster.pods("", node=node) if not pod.deleting), key=_name)
        lines.append(f"{node}: pods there: {_names(there)}")
        lines += _budgets(node, there, budgets) if node in drained else ()
    if drained:
        every = max(len(cluster.node_names(_GPU_LABEL)), len(drained))
        lines.append(f"{len(drained)} of {every} nodes with GPUs ({len(drained) / every:.0%}) take no pods for a while")
    return tuple(dict.fromkeys(lines))


def _answer(victim: Victim) -> str:
    expected = victim.consequences
    answer = ", ".join(expected) if expected else "no action"
    return f"{victim.node.name}: {answer} (the platform's answer to {victim.what})"


def _names(pods: Sequence[PodState]) -> str:
    """The first pods by name; of the others how many, and of which namespaces."""
    more = pods[_MANY:]
    others = f", and {len(more)} more of {', '.join(sorted({pod.namespace for pod in more}))}" if more else ""
    return (", ".join(map(_name, pods[:_MANY])) or "none") + others


def _name(pod: PodState) -> str:
    return f"{pod.namespace}/{pod.name}"


def _budgets(node: str, pods: Sequence[PodState], budgets: Sequence[BudgetState]) -> Iterator[str]:
    for budget in sorted(budgets, key=lambda one: (one.namespace, one.name)):
        covered = [pod for pod in pods if pod.namespace == budget.namespace and matches(budget.selector, pod.labels)]
        if covered:
            waits = "" if len(covered) <= budget.allowed else ": the drain waits for it"
            yield (
                f"{node}: disruption budget {budget.namespace}/{budget.name} ({budget.demand}) covers {len(covered)}"
                f" of them and lets {budget.allowed} go now{waits}"
            )
