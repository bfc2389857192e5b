"""The check of the GPU itself, as far as the stand-in driver goes: what it can not do must be told, and never pass."""

import json
import shutil
import sys

import pytest

from tests.cuda_lib.conftest import make
from tests.gpu_check.__main__ import CUDA_LIB, loaded_driver, main

NO_GPU = "a kernel that fails for real"


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    make()
    kept = tmp_path_factory.mktemp("results")
    code = main(["--driver", str(CUDA_LIB / "build" / "stub"), "--python", sys.executable, "--results", str(kept)])
    (table,) = kept.glob("*-stub-gpu-0.json")
    return code, {line["check"]: line["verdict"] for line in json.loads(table.read_text())["rows"]}


def test_clients_of_the_driver_are_hit_on_the_stand_in_too(verdicts):
    _, found = verdicts
    driver = {
        check: verdict for check, verdict in found.items() if "driver" in check or check[:5] in ("delay", "hang:")
    }
    assert driver == {
        "live: driver answers 719": "pass",
        "live: driver answers 214": "pass",
        "out of memory: driver, and kernels go on": "pass",
        "delay: 5 ms for each wait": "pass",
        "hang: released when it is taken back after 3 s": "pass",
    }


def test_a_driver_on_which_no_kernel_can_fail_does_not_pass(verdicts):
    code, found = verdicts
    failed = [check for check, verdict in found.items() if verdict == "FAIL"]
    assert (code, failed) == (1, [f"calibration: {NO_GPU} (illegal)", f"calibration: {NO_GPU} (trap)"])


def test_a_client_that_is_not_installed_is_told_and_not_passed(verdicts):
    _, found = verdicts
    assert {verdict for check, verdict in found.items() if "torch" in check.lower()} == {"not run"}


@pytest.mark.skipif(loaded_driver() is not None, reason="this machine has an NVIDIA driver")
def test_without_a_driver_one_sentence_says_so(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "There is no NVIDIA driver on this machine (libcuda.so.1 can not be loaded): run this where a GPU is, or give"
        " --driver FOLDER for another libcuda.\n"
    )
