"""A lab on a machine that can not build the stand-in driver: it serves, and says that no CUDA fault can hit."""

from pathlib import Path

import pytest

from tests.scenarios.drill import Bench

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


def test_a_lab_without_a_compiler_serves_and_says_that_no_cuda_fault_can_hit(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "env"):
        (tools / name).symlink_to(f"/bin/{name}")

    class Poor(Bench):
        def environment(self) -> dict[str, str]:
            return {**super().environment(), "PATH": str(tools)}

    bench = Poor(tmp_path, "poor")
    why = "no CUDA fault can hit: There is no make and no gcc on this machine."
    try:
        up = bench.call("lab", "up", "--lab-name", "poor", "--kernel-log", "file")
        assert (up.code, up.out.splitlines()[1]) == (0, f"# {why}"), up
        assert f"# {why}" in bench.call("lab", "status", "--lab-name", "poor").out.splitlines()
    finally:
        assert bench.call("lab", "down", "--lab-name", "poor").code == 0
