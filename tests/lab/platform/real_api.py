"""The lab's real API server as a process, for tests that hold the fake to it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "test-token"


@contextmanager
def api_server(folder: Path) -> Iterator[Path]:
    """The kubeconfig of a running server, which ends with the context."""
    token = folder / "token"
    token.write_text(TOKEN)
    process = subprocess.Popen(
        [sys.executable, "-m", "scenario_runner.lab.apiserver", "--token-file", str(token), "--node-grace", "3600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().removeprefix("ready ").strip()
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(f"""
apiVersion: v1
kind: Config
clusters: [{{name: lab, cluster: {{server: "{address}"}}}}]
users: [{{name: lab, user: {{token: {TOKEN}}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]
current-context: lab
""")
        yield kubeconfig
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
