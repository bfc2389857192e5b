"""Where the runner finds the CUDA library, and what it says when it can not be used."""

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from scenario_runner.adapters.cuda_library import VARIABLE, CudaLibraryFiles
from scenario_runner.cli import main
from scenario_runner.errors import StepBroken

ROOT = Path(__file__).parent.parent.parent
HERE = platform.machine()


def refusal(machine):
    with pytest.raises(StepBroken) as refused:
        CudaLibraryFiles(Path()).library(machine)
    return str(refused.value)


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A file that the variable names."""
    file = tmp_path / "library.so"
    monkeypatch.setenv(VARIABLE, str(file))
    return file


def test_in_a_clone_it_is_built_from_the_sources_when_it_is_needed(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    found = CudaLibraryFiles(Path()).library(HERE)
    assert (found.machine, found.content[:4]) == (HERE, b"\x7fELF")


def test_a_library_that_is_named_is_taken_as_it_is(named):
    content = b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little") + b"rest"
    named.write_bytes(content)
    assert CudaLibraryFiles(Path()).library("x86_64").content == content


def test_a_file_that_is_not_there_is_named(named):
    assert refusal(HERE) == f"the CUDA library {named} can not be read: No such file or directory"


def test_a_file_that_is_no_library_is_named(named):
    named.write_text("#!/bin/sh\n")
    assert refusal(HERE) == f"the CUDA library {named} is no shared object"


def test_a_library_for_another_machine_is_refused_before_it_reaches_a_pod(named):
    named.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"))
    assert refusal("x86_64") == (
        "the CUDA library is built for aarch64, and the nodes are x86_64: build it for them (cuda_lib/README.md) and "
        f"say where it is with {VARIABLE}"
    )


def test_nothing_is_built_by_itself_for_a_machine_that_this_is_not(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    place = ROOT / "cuda_lib" / "build" / "riscv64" / "libscenario_cuda.so"
    assert refusal("riscv64") == f"the CUDA library {place} can not be read: No such file or directory"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed package beside which no clone lies."""
    monkeypatch.delenv(VARIABLE, raising=False)
    package = tmp_path / "site-packages" / "scenario_runner"
    left_out = shutil.ignore_patterns("build", "results", "__pycache__")
    shutil.copytree(ROOT / "cuda_lib", package / "cuda" / "sources", ignore=left_out)
    return CudaLibraryFiles(tmp_path / "state", package)


def test_an_installation_without_a_library_says_how_to_get_one(installed):
    with pytest.raises(StepBroken) as refused:
        installed.library("aarch64")
    assert str(refused.value) == (
        "this installation has no CUDA library for aarch64: build one "
        "(`scenario-runner cuda build` does that where gcc and make are)"
    )


def test_what_was_built_for_an_installation_is_found_and_wins_over_what_came_with_it(installed, tmp_path):
    packed = tmp_path / "site-packages" / "scenario_runner" / "cuda" / HERE / "libscenario_cuda.so"
    packed.parent.mkdir()
    machine = {"x86_64": 62, "aarch64": 183}[HERE]
    packed.write_bytes(b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + b"packed")
    assert installed.library(HERE).content.endswith(b"packed")
    built = installed.build("gcc")
    assert built.relative_to(tmp_path / "state" / "cuda").parts[1:] == (HERE, "libscenario_cuda.so")
    assert installed.library(HERE).content == built.read_bytes()


def test_a_compiler_that_is_not_there_is_named(installed):
    with pytest.raises(StepBroken) as refused:
        installed.build("no-such-gcc")
    assert str(refused.value) == "There is no no-such-gcc on this machine, which building the CUDA library needs."


def test_the_command_says_where_the_library_is_and_for_which_machine():
    done = CliRunner().invoke(main, ["cuda", "build"])
    assert (done.exit_code, done.output) == (0, f"{ROOT / 'cuda_lib/build/libscenario_cuda.so'}, for {HERE}\n")


def test_the_command_says_in_one_sentence_that_there_is_no_compiler():
    done = CliRunner().invoke(main, ["cuda", "build", "--compiler", "no-such-gcc"])
    assert (done.exit_code, done.output.splitlines()) == (
        3, ["There is no no-such-gcc on this machine, which building the CUDA library needs."],
    )  # fmt: skip


@pytest.mark.timeout(180)
def test_a_wheel_brings_library_driver_and_sources_along(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        packed = {name.removeprefix("scenario_runner/cuda/") for name in files.namelist()}
    assert {f"{HERE}/libscenario_cuda.so", f"{HERE}/stub/libcuda.so.1", f"{HERE}/stub/libnvidia-ml.so.1"} <= packed
    assert {"sources/build.py", "sources/Makefile", "sources/src/slots.c", "sources/metadata/functions.csv"} <= packed
