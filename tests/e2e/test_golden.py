"""What the real helm makes of the charts is what the repository holds; no cluster is asked."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.charts import AGENT_CHART, GOLDEN, ROOT, RUNNER_CHART, rendered
from tests.e2e import binaries
from tests.e2e.running import run, try_to_run


@pytest.fixture(scope="module")
def helm() -> Path:
    return binaries.build()["helm"]


def test_the_golden_files_and_the_plain_manifests_are_up_to_date(helm: Path) -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in rendered(helm) if path.read_text() != text]
    assert stale == [], "python -m tests.deploy.charts --helm PATH writes them"


@pytest.mark.parametrize("chart", [AGENT_CHART, RUNNER_CHART], ids=["agent", "runner"])
def test_helm_finds_nothing_to_complain_about(helm: Path, chart: Path) -> None:
    for values in (
        (),
        ("--values", GOLDEN / f"{'agent' if chart == AGENT_CHART else 'runner'}-everything.values.yaml"),
    ):
        said = run(helm, "lint", "--strict", chart, *values)
        assert "1 chart(s) linted, 0 chart(s) failed" in said
        assert "[WARNING]" not in said


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("node.prot=1", "'prot' not allowed"),
        ("node.port=443", "minimum: got 443, want 1,024"),
        ("gateway.awayFrom.mode=never", "value must be one of 'required', 'preferred', 'off'"),
    ],
)
def test_helm_refuses_a_value_that_does_not_fit(helm: Path, setting: str, sentence: str) -> None:
    done = _templated(helm, AGENT_CHART, f"--set={setting}")
    assert done.returncode != 0
    assert sentence in done.stderr


def test_the_runner_is_installed_in_its_namespace_only(helm: Path) -> None:
    done = _templated(helm, RUNNER_CHART, "--namespace=other", "--set=image.repository=some/where")
    assert done.returncode != 0
    assert "install this chart there (-n scenario-runner)" in done.stderr


@pytest.mark.parametrize(("chart", "file"), [(AGENT_CHART, "agent"), (RUNNER_CHART, "runner")], ids=["agent", "runner"])
def test_nobody_gets_an_image_from_a_place_that_they_did_not_name(helm: Path, chart: Path, file: str) -> None:
    done = _templated(helm, chart, "--namespace=scenario-runner")
    assert done.returncode != 0
    sentence = (
        f"Say where you pushed the image built from agent/deploy/images/{file}.Dockerfile: --set image.repository="
    )
    assert sentence in done.stderr
    without_drills = "--set=drills.xid79-gpu-fell-off-bus=null"
    if chart == RUNNER_CHART:
        assert _templated(helm, chart, "--namespace=scenario-runner", without_drills).returncode == 0


def _templated(helm: Path, chart: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return try_to_run(helm, "template", "name", chart, "--kube-version=1.37.2", *options)
