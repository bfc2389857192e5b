"""Asks the cluster whether the platform is repairing this node right now."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from fault_agent.cluster import ClusterApi, ClusterRefused

STATE_LABEL = "dgxc.nvidia.com/nvsentinel-state"


class Platform(Protocol):
    def why_wait(self) -> str | None:
        """Why no acknowledgement may be written now, in words, or None."""


class NoPlatform:
    """No cluster was named: nothing to wait for."""

    def why_wait(self) -> str | None:
        return None


@dataclass(frozen=True)
class ClusterPlatform:
    """Reads one label of one Node object."""

    node: str
    cluster: ClusterApi

    def why_wait(self) -> str | None:
        try:
            state = self._state()
        except (OSError, ValueError) as error:  # an unknown state may be a repair: rather wait than disturb it
            return f"the cluster does not say whether the node is being repaired ({error})"
        return "the platform is remediating the node" if state == "remediating" else None

    def _state(self) -> str | None:
        try:
            labels = self.cluster.get(f"/api/v1/nodes/{quote(self.node)}")["metadata"].get("labels") or {}
        except ClusterRefused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None  # no such Node object: nobody repairs it
            raise
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the answer is not a Node") from error
        state = labels.get(STATE_LABEL)
        return state if isinstance(state, str) else None
