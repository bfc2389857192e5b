"""What CUDA faults did to processes, as the agents know it: the proof that such a fault took effect."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessHits:
    """What one fault did to one process."""

    node: str
    pid: int  # in the process's own container
    process: str  # its name, as in /proc/PID/comm
    pod: str  # "namespace/pod"; "" when the process does not say
    container: str
    probe: bool  # came by exec (a probe, kubectl exec): not the workload
    gpu: str  # UUID of the GPU of the first hit; "" where the call named none
    hits: int  # driver calls that were failed, delayed or blocked
    code: int  # CUresult of the last one; 0: it passed, late
    function: str  # of the first hit, as the driver spells it
    first: str  # ISO 8601, UTC

    @property
    def counts(self) -> bool:
        """A process of a pod ran into the fault by itself."""
        return bool(self.pod) and not self.probe and self.hits > 0


@dataclass(frozen=True)
class CudaHits:
    """Every process that a fault hit, and those of pods that use CUDA without the library: no fault can reach them."""

    processes: tuple[ProcessHits, ...]
    without_library: tuple[str, ...] = ()  # "node: process 4711 (python3) of namespace/pod"
    unreachable: tuple[str, ...] = ()  # "node: reason"


def counted(hits: Iterable[ProcessHits], pods: Iterable[str] | None = None) -> list[ProcessHits]:
    """Those that prove something; of the given pods ("namespace/pod") only, unless `pods` is None."""
    wanted = None if pods is None else set(pods)
    return [one for one in hits if one.counts and (wanted is None or one.pod in wanted)]


def overlooked(hits: Iterable[CudaHits]) -> tuple[str, ...]:
    """A sentence for each process that uses CUDA where a fault was armed, and can not run into it."""
    found = sorted({one for each in hits for one in each.without_library})
    return tuple(f"{one} uses CUDA without the library: no fault reaches it" for one in found)


def merged(before: CudaHits, now: CudaHits) -> CudaHits:
    """What is known: records go when a node reboots, so that a process which is not told of any more was hit still."""
    told = {_who(one) for one in now.processes}
    lost = tuple(one for one in before.processes if _who(one) not in told)
    return CudaHits(lost + now.processes, now.without_library, now.unreachable)


def _who(one: ProcessHits) -> tuple[str, str, str, int]:
    return (one.node, one.pod, one.container, one.pid)
