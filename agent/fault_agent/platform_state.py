"""Asks the cluster whether the platform is repairing this node right now."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

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
    """Reads one label of one Node object; `token_file` is read each time, as clusters rotate tokens."""

    node: str
    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = 2.0

    def why_wait(self) -> str | None:
        try:
            state = self._state()
        except (OSError, ValueError) as error:  # an unknown state may be a repair: rather wait than disturb it
            return f"the cluster does not say whether the node is being repaired ({error})"
        return "the platform is remediating the node" if state == "remediating" else None

    def _state(self) -> str | None:
        request = urllib.request.Request(f"{self.url.rstrip('/')}/api/v1/nodes/{quote(self.node)}")  # noqa: S310 - an operator's option, never a request's value
        if self.token_file is not None:
            request.add_header("Authorization", f"Bearer {self.token_file.read_text(encoding='ascii').strip()}")
        context = ssl.create_default_context(cafile=self.ca_file) if self.url.startswith("https") else None
        try:
            with urllib.request.urlopen(request, timeout=self.timeout, context=context) as answer:  # noqa: S310 - as above
                labels = json.load(answer)["metadata"].get("labels") or {}
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == HTTPStatus.NOT_FOUND:
                return None  # no such Node object: nobody repairs it
            raise
        except (KeyError, AttributeError) as error:
            raise ValueError("the answer is not a Node") from error
        state = labels.get(STATE_LABEL)
        return state if isinstance(state, str) else None
