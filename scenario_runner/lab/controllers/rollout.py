"""The arithmetic of a rolling update: how large each ReplicaSet should be next. Pure functions."""

from dataclasses import dataclass, replace

from scenario_runner.lab.apiserver.objects import Json, dig, share_of


@dataclass(frozen=True)
class Sizes:
    """The replicas that one ReplicaSet asks for and those that are available."""

    name: str
    wanted: int
    available: int


@dataclass(frozen=True)
class Limits:
    """What a rollout may do: `surge` pods above `replicas`, `unavailable` below."""

    replicas: int
    surge: int
    unavailable: int

    @classmethod
    def of(cls, deployment: Json) -> "Limits":
        """Percentages are of the replicas: surge rounded up, unavailable down; never both zero."""
        spec = deployment["spec"]
        rolling = dig(spec, "strategy.rollingUpdate") or {}
        surge = share_of(rolling.get("maxSurge", 0), spec["replicas"], up=True)
        unavailable = share_of(rolling.get("maxUnavailable", 0), spec["replicas"], up=False)
        if surge == 0 and unavailable == 0:
            unavailable = 1
        return cls(spec["replicas"], surge, min(unavailable, spec["replicas"]))


def next_new_size(new: Sizes, old: list[Sizes], limits: Limits) -> int:
    """The size of the ReplicaSet of the current template."""
    if new.wanted >= limits.replicas:
        return limits.replicas
    room = limits.replicas + limits.surge - new.wanted - sum(one.wanted for one in old)
    return new.wanted + min(max(room, 0), limits.replicas - new.wanted)


def next_old_sizes(new: Sizes, old: list[Sizes], limits: Limits) -> dict[str, int]:
    """The sizes of the older ReplicaSets, oldest first: pods that do not serve go first, then those spared."""
    floor = limits.replicas - limits.unavailable
    total = new.wanted + sum(one.wanted for one in old)
    spare = max(total - floor - (new.wanted - new.available), 0)
    old, spared = _without_unavailable(old, spare)
    available = new.available + sum(one.available for one in old)
    allowance = min(max(available - floor, 0), spare - spared)
    sizes: dict[str, int] = {}
    for one in old:
        drop = min(one.wanted, allowance)
        allowance -= drop
        sizes[one.name] = one.wanted - drop
    return sizes


def _without_unavailable(old: list[Sizes], spare: int) -> tuple[list[Sizes], int]:
    """Shrink by pods that are not available; the second value is how many those were."""
    left, result = spare, []
    for one in old:
        drop = min(one.wanted - one.available, left) if one.wanted > one.available else 0
        left -= drop
        result.append(replace(one, wanted=one.wanted - drop))
    return result, spare - left


def proportional_sizes(active: list[Sizes], limits: Limits) -> dict[str, int]:
    """Spread a change of the wanted replicas in the middle of a rollout over all active ReplicaSets."""
    total = sum(one.wanted for one in active)
    goal = limits.replicas + (limits.surge if limits.replicas else 0)
    if total == 0:
        return {}
    sizes = {one.name: one.wanted * goal // total for one in active}
    largest = max(active, key=lambda one: one.wanted)
    sizes[largest.name] += goal - sum(sizes.values())
    return sizes
