"""The stock kubectl of the cluster's own version."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.contract.kubernetes.server import Json, Space
from tests.e2e import binaries

Kubectl = Callable[..., str]


def kubectl_for(space: Space, cache: Path) -> Kubectl:
    """Runs one command in the check's namespace; `code` is what it must exit with."""

    def run(*arguments: str, stdin: Json | None = None, code: int = 0) -> str:
        options = [f"--kubeconfig={space.server.kubeconfig}", f"--namespace={space.namespace}", f"--cache-dir={cache}"]
        command = [str(binaries.built()["kubectl"]), *options, *arguments]
        text = json.dumps(stdin) if stdin else None
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    return run
