"""A cluster comes and goes without a trace, whatever happens to whoever started it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import ending, owner
from tests.e2e.cgroups import Group
from tests.e2e.cluster import Cluster
from tests.e2e.place import CLUSTERS, Place, Trouble
from tests.e2e.running import run, wait_for

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def place() -> Iterator[Place]:
    """A name for a cluster beside the one of the other tests."""
    made = Place(f"life-{os.getpid()}")
    yield made
    ending.down(made)


def command(verb: str, place: Place) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.e2e.cluster", verb, "--name", place.name]
    return subprocess.Popen(argv, cwd=_REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def machine() -> set[str]:
    """What a cluster might leave on this machine, as the machine itself tells it."""
    found = {f"link {name}" for name in re.findall(r"^\d+: ([^:@]+)", run("ip", "link"), re.MULTILINE)}
    found |= {f"route {line}" for line in run("ip", "route", "show", "table", "all").splitlines()}
    found |= {f"network namespace {line.split()[0]}" for line in run("ip", "netns").splitlines()}
    found |= {f"packet filter {line}" for line in run("nft", "list", "ruleset").splitlines()}
    found |= {f"{path} {path.read_text()}" for path in Path("/proc/sys/fs/inotify").iterdir()}
    found |= {f"mount {line.split()[1]}" for line in Path("/proc/self/mounts").read_text().splitlines()}
    found |= {f"control group {path}" for path in Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()}
    return found | {f"folder {path}" for path in CLUSTERS.iterdir()}


def test_a_second_cluster_runs_beside_the_first_and_leaves_nothing(cluster: Cluster, place: Place):
    before = machine()
    up = command("up", place)
    said, _ = up.communicate()
    assert up.returncode == 0, said
    assert "3 nodes are ready" in said
    assert len(Cluster.attach(place.name).get("nodes")["items"]) == 3
    assert not ending.is_orphaned(place)
    assert len(machine() - before) > 10
    down = command("down", place)
    assert down.communicate()[0] == f"nothing is left of cluster {place.name}\n"
    assert ending.leftovers(place) == []
    assert machine() - before == set()
    assert len(cluster.get("nodes")["items"]) == 3


def test_what_a_killed_starter_left_is_taken_away(place: Place):
    up = command("up", place)
    wait_for("nodes are booting", 60, lambda: any((place.state / "nodes").glob("*/booted")))
    up.kill()
    up.communicate()
    assert ending.is_orphaned(place)
    assert len(ending.leftovers(place)) > 10
    ending.down(place)
    assert ending.leftovers(place) == []


def test_a_name_that_is_taken_is_refused(cluster: Cluster):
    taken = Place(cluster.name)
    with pytest.raises(Trouble) as caught:
        owner.claim(taken, kept=True)
    assert str(caught.value) == (
        f"There is a cluster named {cluster.name} (in /var/opt/scenario-runner-e2e/{cluster.name}); "
        f"`python -m tests.e2e.cluster down --name {cluster.name}` takes it away."
    )


def test_a_cluster_that_its_starter_keeps_for_itself_is_orphaned_when_that_one_dies(place: Place):
    program = f"""
from tests.e2e import owner
from tests.e2e.place import Place
owner.claim(Place({place.name!r}), kept=False)
print("claimed", flush=True)
input()
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", program], cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout.readline() == "claimed\n"
    assert not ending.is_orphaned(place)
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    assert ending.is_orphaned(place)


def test_processes_that_fork_while_they_are_ended_are_ended_too(place: Place):
    group = Group(place.group)
    group.make()
    forks = "import os\nwhile True:\n  if os.fork() == 0: break\n  os.wait()\nwhile True:\n  if os.fork(): os._exit(0)"
    forker = subprocess.Popen(group.joined([sys.executable, "-c", forks]))
    wait_for("it forks", 10, lambda: len(group.processes()) > 1)
    group.kill()
    forker.wait()
    group.remove()
    assert group.folders() == []
