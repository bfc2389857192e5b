"""Where a command acts, as the command line says it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AgentWish:
    """How the fault agents are found; without a URL by the Service of their Helm chart."""

    url: str | None = None  # or "namespace/service"
    token_file: Path | None = None
    authority: Path | None = None  # of their certificate


@dataclass(frozen=True)
class Place:
    """A lab, or a cluster by its context."""

    use_lab: bool = False
    lab_name: str = "default"
    kernel_log: str = "file"
    context: str | None = None
    kubeconfig: Path | None = None
    agent: AgentWish = AgentWish()
    reach: str = "auto"
