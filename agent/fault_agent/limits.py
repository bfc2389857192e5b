"""What the agent does at most: which XIDs, how many faults at once, how many injections in a while."""

from fault_agent.refusal import Refusal


class Limits:
    """`allowed` None = every XID. Injections are paid from a bucket of `burst` that fills by `per_second`."""

    def __init__(
        self,
        node: str,
        allowed: frozenset[int] | None = None,
        max_active: int = 16,
        burst: int = 60,
        per_second: float = 2.0,
    ) -> None:
        self._node = node
        self._allowed = allowed
        self._max_active = max_active
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._filled_at = 0.0

    def check(self, xid: int | None, active: int, now: float) -> None:
        """Take one injection from the bucket; raises Refusal 403 or 429. `now` in seconds, `xid` None = no XID."""
        if self._allowed is not None and xid is not None and xid not in self._allowed:
            listed = ", ".join(str(number) for number in sorted(self._allowed))
            message = f"XID {xid} is not allowed on node {self._node}; allowed: {listed}."
            raise Refusal(403, "xid_not_allowed", message, self._node)
        if active >= self._max_active:
            message = f"Node {self._node} has {active} faults in force, at most {self._max_active} are allowed."
            raise Refusal(429, "too_many_active", message, self._node)
        self._pay(now)

    def _pay(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1:
            message = f"Node {self._node} takes {self._burst} injections at once and {self._per_second:g} per second."
            raise Refusal(429, "rate_limited", message, self._node)
        self._left -= 1
