"""Starts a cluster: certificates, network, control plane and nodes, in the order in which they need each other."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e import binaries, certificates, ending, image, network, owner, prerequisites, watchers
from tests.e2e.cgroups import Group
from tests.e2e.cluster import Cluster
from tests.e2e.control_plane import API_SERVER, CONTROLLERS, DNS, ETCD, SCHEDULER
from tests.e2e.image import Base
from tests.e2e.place import MACHINES, Place
from tests.e2e.running import wait_for

_NAMES = Path(__file__).parent / "manifests" / "dns.yaml"


def up(name: str, *, kept: bool, say: Callable[[str], None]) -> Cluster:
    """
    A cluster whose nodes are ready, or Trouble and nothing left but its logs.

    `kept`: it shall outlive this process; otherwise whoever comes next may take it away once this process is gone.
    """
    prerequisites.require()
    binaries.build()
    base = image.build_base()
    place = Place(name)
    owner.claim(place, kept=kept)
    try:
        return _start(place, base, _since_now(say))
    except BaseException:
        logs = binaries.cache_folder() / f"logs-of-{name}"
        shutil.rmtree(logs, ignore_errors=True)
        if place.logs.exists():
            shutil.copytree(place.logs, logs)
            say(f"the cluster did not start; its logs are in {logs}")
        ending.down(place)
        raise


def _since_now(say: Callable[[str], None]) -> Callable[[str], None]:
    begin = time.monotonic()
    return lambda text: say(f"{time.monotonic() - begin:5.1f}s {text}")


def _start(place: Place, base: Base, say: Callable[[str], None]) -> Cluster:
    cluster = Cluster.attach(place.name)
    plane, nodes = cluster.control_plane, cluster.machines
    watchers.allow()
    place.logs.mkdir()
    Group(place.group).make(shares=len(MACHINES) + 1)  # control plane and nodes count like as many programs
    plane.group.make()
    certificates.make_all(place)
    network.make(place)
    for program in (ETCD, API_SERVER):
        plane.start(program)
    plane.open_gate()
    say("certificates and network are made, the API server starts")

    def boot(name: str) -> None:
        nodes[name].boot()
        image.load(nodes[name], base, project.result())
        say(f"{name} has booted and has its images")

    with ThreadPoolExecutor(len(nodes) + 1) as pool:
        project = pool.submit(image.build_project, base, place.images)
        booting = [pool.submit(boot, name) for name in nodes]
        plane.wait_until_ready()
        say("the API server serves")
        for program in (CONTROLLERS, SCHEDULER):
            plane.start(program)
        for one in booting:
            one.result()
    for node in nodes.values():
        node.start_rest()
    _wait_until_ready(cluster)
    place.ready.touch()
    say(f"{len(MACHINES)} nodes are ready")
    return cluster


def _wait_until_ready(cluster: Cluster) -> None:
    wait_for(
        "all nodes are ready and have GPUs", 120, lambda: all(cluster.is_ready(name) for name in cluster.nodes), 0.3
    )
    wait_for(
        "pods may be made in the namespace default",
        60,
        lambda: cluster.try_kubectl("get", "serviceaccount", "default").returncode == 0,
    )
    cluster.kubectl("apply", "--filename", str(_NAMES))
    cluster.control_plane.start(DNS)  # not before it may read Services: refused, it would wait long until it asks again
