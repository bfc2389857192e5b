"""The runner's chart beside that of the fault agents: whatever drills do on the stage, they do with its permissions."""

import json
from pathlib import Path

from tests.deploy.charts import RUNNER_CHART
from tests.e2e.access import Outside
from tests.e2e.drill import Stage
from tests.e2e.drills import day
from tests.e2e.drills.readme import NAMESPACE
from tests.e2e.image import RUNNER_IMAGE
from tests.e2e.stage import SERVICE

_RELEASE = "scenario-runner"
_ACCOUNT = "pipeline"
_JOBS = {"short": "8s", "long": "10m"}  # how long the fault is looked at


def install(stage: Stage) -> None:
    """Once the service is there; from here on `stage.kubeconfig` is that of an account outside of the cluster."""
    inside = f"--namespace={SERVICE}"
    stage.cluster.kubectl(inside, "create", "serviceaccount", _ACCOUNT)
    stage.cluster.helm("install", _RELEASE, str(RUNNER_CHART), f"--namespace={NAMESPACE}", f"--values={_values(stage)}")
    token = stage.cluster.kubectl(inside, "create", "token", _ACCOUNT, "--duration=3h").strip()
    Outside(stage.cluster, stage.folder).kubeconfig({"token": token})


def remove(stage: Stage) -> None:
    """Jobs and account go with their namespaces."""
    stage.cluster.helm("uninstall", _RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")


def _values(stage: Stage) -> Path:
    """Where the agents are, the chart knows by itself: they have the names of their own chart."""
    repository, _, tag = RUNNER_IMAGE.rpartition(":")
    # A pod can not push itself before all others, as we do outside: its requests have more time to begin.
    files = {name: day.drill(stage, {"pause": pause}, rate="4/s").read_text() for name, pause in _JOBS.items()}
    values = {
        "namespaces": [SERVICE],
        "outside": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": SERVICE}],
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "files": {f"{name}.yaml": text for name, text in files.items()},
        "drills": {name: {"scenario": f"/files/{name}.yaml"} for name in files},
        "job": {"awayFrom": {"mode": "preferred"}, "resources": {"requests": {"cpu": "10m"}}},
    }
    file = stage.folder / "runner.json"
    file.write_text(json.dumps(values))
    return file
