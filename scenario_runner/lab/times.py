"""How long things take on a real cluster, and how the lab shortens them: one number and the table it applies to."""

import json
import math
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Times:
    """Seconds."""

    node_renewal: float  # between two heartbeats of a node
    node_grace: float  # silence after which a node counts as not ready
    eviction_after: float  # until pods leave a node that is not ready
    backoff_first: float  # wait before the second restart of a crashed container; doubles each time
    backoff_limit: float  # longest such wait
    backoff_reset: float  # running time after which a crash counts as the first one again
    reboot: float  # from a machine going down until its kubelet starts
    model_load: float  # until the sample service is ready


REAL = Times(
    node_renewal=10,
    node_grace=50,
    eviction_after=300,
    backoff_first=10,
    backoff_limit=300,
    backoff_reset=600,
    reboot=90,
    model_load=45,
)

# Below these a busy laptop would be taken for a broken cluster. A reboot takes longer than the grace, as on a real
# cluster: the node is seen to be not ready meanwhile, and its pods are not evicted for that alone.
_FLOOR = Times(
    node_renewal=0.5,
    node_grace=4,
    eviction_after=6,
    backoff_first=0.1,
    backoff_limit=1,
    backoff_reset=2,
    reboot=6,
    model_load=0.1,
)


def scaled(scale: float) -> Times:
    """The real times divided by `scale`, but not below what is sensible. Raises ValueError unless it is above 0."""
    if not scale > 0 or not math.isfinite(scale):
        raise ValueError(f"a scale of {scale:g} is not above 0")
    return Times(**{one.name: max(getattr(REAL, one.name) / scale, getattr(_FLOOR, one.name)) for one in fields(Times)})


def to_text(times: Times) -> str:
    """For a command line."""
    return json.dumps(asdict(times))


def from_text(text: str) -> Times:
    return Times(**json.loads(text))
