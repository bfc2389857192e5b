"""Every hand-written stand-in in one place: time, agents, cluster, loads, and a whole world made of them."""

from tests.fake_agent import FakeAgent
from tests.fake_claims import FakeClaimStore
from tests.fake_cluster import FakeCluster
from tests.fake_kept import Kept
from tests.fake_loads import FakeLoad, FakeLoads
from tests.fake_time import START, FakeBeats, FakeClock, FakeTime
from tests.fake_world import GPUS, NODES, FakePlatform, FakeWorld, plan_of, planned

__all__ = [
    "GPUS",
    "NODES",
    "START",
    "FakeAgent",
    "FakeBeats",
    "FakeClaimStore",
    "FakeClock",
    "FakeCluster",
    "FakeLoad",
    "FakeLoads",
    "FakePlatform",
    "FakeTime",
    "FakeWorld",
    "Kept",
    "plan_of",
    "planned",
]
