"""What `make e2e` says where it can not run, what it builds anew, and that it skips nothing; no cluster is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import cgroups, prerequisites, watchers
from tests.e2e.binaries import Family, find_go, wheel_folder
from tests.e2e.place import Trouble

ROOT = Path(__file__).parents[1]


def trouble(call, *arguments):
    with pytest.raises(Trouble) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes a program that prints `text` and ends with `code`; there are no others but the shell's own."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, text="", code=0, at=folder):
        at.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(f"#!/bin/sh\necho '{text}' >&{1 if code == 0 else 2}\nexit {code}\n")
        (at / name).chmod(0o755)
        return at / name

    return make


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        (("Darwin", "arm64", 0), "A cluster needs Linux on x86_64 or aarch64, this is Darwin arm64."),
        (("Linux", "ppc64le", 0), "A cluster needs Linux on x86_64 or aarch64, this is Linux ppc64le."),
        (("Linux", "x86_64", 1000), "A cluster needs root: it makes namespaces, mounts and control groups."),
    ],
)
def test_a_machine_that_can_have_no_cluster_is_told_in_one_sentence(machine, sentence):
    assert trouble(prerequisites.require_machine, *machine) == sentence


def test_any_linux_with_root_will_do():
    prerequisites.require_machine("Linux", "x86_64", 0)
    prerequisites.require_machine("Linux", "aarch64", 0)


def test_control_groups_of_version_2_are_told_with_what_to_do(tmp_path):
    (tmp_path / "cgroup.controllers").touch()
    assert trouble(cgroups.require_v1, tmp_path) == (
        "This machine has control groups of version 2 only, and the nodes are built from version 1: boot it with "
        "systemd.unified_cgroup_hierarchy=0."
    )


def test_hierarchies_of_control_groups_that_are_missing_are_named(tmp_path):
    for name in ("cpu", "cpuacct", "cpuset", "memory", "devices"):
        (tmp_path / name).mkdir()
    sentence = f"These control group hierarchies are not mounted under {tmp_path}: freezer, pids."
    assert trouble(cgroups.require_v1, tmp_path) == sentence
    for name in ("freezer", "pids"):
        (tmp_path / name).mkdir()
    cgroups.require_v1(tmp_path)


def test_a_system_without_apt_is_told(programs):
    assert trouble(prerequisites.require_packages) == (
        "A cluster needs Debian or a system made from it: packages are installed by apt-get."
    )


def test_packages_that_can_not_be_installed_are_named_with_the_reason(programs):
    programs("dpkg-query", "un ")
    programs("apt-get", "E: Unable to locate package iproute2", 100)
    said = trouble(prerequisites.require_packages)
    assert said.startswith("The Debian packages iproute2, util-linux, openssl, ")
    assert said.endswith(" can not be installed: E: Unable to locate package iproute2")


def test_nothing_is_installed_where_all_is_there(programs):
    programs("dpkg-query", "ii ")
    programs("apt-get", "E: not asked for", 100)
    prerequisites.require_packages()


def test_real_time_priority_that_is_not_to_be_had_is_told(programs):
    programs("chrt", "chrt: failed to set pid 0s policy: Operation not permitted", 1)
    assert trouble(prerequisites.require_real_time) == (
        "Drills need real-time priority for their loads, which is not to be had here: "
        "failed to set pid 0s policy: Operation not permitted."
    )


def test_a_kernel_log_that_can_not_be_written_is_told(tmp_path):
    absent = tmp_path / "kmsg"
    assert trouble(prerequisites.require_kernel_log, absent) == (
        f"Drills write faults into the kernel log, and {absent} can not be: No such file or directory."
    )


def test_go_of_this_machine_is_taken_if_it_is_new_enough(programs):
    new = programs("go", "go version go1.26.1 linux/amd64")
    assert find_go("") == new


def test_go_that_is_too_old_is_not_taken(programs, tmp_path):
    programs("go", "go version go1.25.9 linux/amd64")
    newer = programs("go", "go version go1.27 linux/amd64", at=tmp_path / "usual")
    assert find_go(str(newer)) == newer


def test_without_go_that_of_the_package_index_is_taken_and_kept(programs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = wheel_folder() / "go" / "bin"
    kept = programs("go", "go version go1.26.2 linux/amd64", at=folder)
    assert find_go("") == kept
    programs("go", "go version go1.25.0 linux/amd64", at=folder)
    assert trouble(find_go, "").endswith("has no Go that runs on this machine.")


def test_programs_are_built_anew_when_their_pins_or_flags_change_and_only_then(tmp_path):
    (tmp_path / "go.mod").write_text("module x")
    (tmp_path / "go.sum").write_text("a v1.0.0 h1:x=")
    name = str(tmp_path)  # an absolute one is its own folder
    before = Family(name, ("a/cmd",)).key
    assert Family(name, ("a/cmd",)).key == before
    assert Family(name, ("a/cmd",), stamps=("a.version=1",)).key != before
    (tmp_path / "go.sum").write_text("a v1.0.1 h1:y=")
    assert Family(name, ("a/cmd",)).key != before


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("pass", 0, "1 passed"),
        ("pytest.skip('no cluster')", 1, "test_it.py::test_it\n"),
    ],
)
def test_a_test_that_is_skipped_fails_the_run(tmp_path, body, code, words):
    file = tmp_path / "test_it.py"
    file.write_text(f"import pytest\n\n@pytest.mark.e2e\ndef test_it():\n    {body}\n")
    program = "import sys; from tests.e2e.__main__ import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in (done.stderr if code else done.stdout)
    assert ("Nothing may be skipped here: " in done.stderr) == bool(code)


def test_the_limit_of_file_watchers_is_what_it_was_when_the_last_cluster_is_gone(tmp_path):
    limit, clusters = tmp_path / "limit", tmp_path / "clusters"
    limit.write_text("128\n")
    for name in ("one", "two"):
        (clusters / name).mkdir(parents=True)
        watchers.allow(limit, clusters)
        assert limit.read_text() == "1024"
    (clusters / "one").rmdir()
    watchers.restore(limit, clusters)
    assert limit.read_text() == "1024"
    (clusters / "two").rmdir()
    watchers.restore(limit, clusters)
    assert limit.read_text() == "128"
    assert list(clusters.iterdir()) == []


def test_a_limit_of_file_watchers_that_is_high_enough_stays(tmp_path):
    limit = tmp_path / "limit"
    limit.write_text("8192\n")
    watchers.allow(limit, tmp_path)
    watchers.restore(limit, tmp_path)
    assert limit.read_text() == "8192\n"
