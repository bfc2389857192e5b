"""The controllers of the lab's cluster, and the scheduler; they react to changes of the store."""

from dataclasses import dataclass

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.controllers.budgets import Budgets
from scenario_runner.lab.controllers.crds import CustomResources
from scenario_runner.lab.controllers.deployments import Deployments
from scenario_runner.lab.controllers.endpoints import EndpointsOfServices
from scenario_runner.lab.controllers.events import Recorder
from scenario_runner.lab.controllers.garbage import Garbage
from scenario_runner.lab.controllers.namespaces import Namespaces
from scenario_runner.lab.controllers.nodes import Nodes
from scenario_runner.lab.controllers.reactor import Reactor, Timers
from scenario_runner.lab.controllers.replicasets import ReplicaSets
from scenario_runner.lab.controllers.scheduler import Scheduler
from scenario_runner.lab.controllers.taints import TaintEviction

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True)
class Settings:
    """Times in seconds: silence until a node is NotReady, its pods' tolerance, silence of a new node."""

    node_grace: float = 40
    eviction_after: int = 300
    start_grace: float = 60


def start_controllers(api: Api, settings: Settings, timers: Timers) -> Reactor:
    """Attach all controllers to a cluster, and create the namespaces that every cluster has."""
    recorder = Recorder(api)
    reactor = Reactor(
        api.store,
        [
            CustomResources(api),
            Namespaces(api),
            Garbage(api),
            Deployments(api, recorder),
            ReplicaSets(api, recorder),
            Scheduler(api, recorder),
            EndpointsOfServices(api),
            Nodes(api, recorder, settings.node_grace, settings.start_grace),
            TaintEviction(api, recorder),
            Budgets(api),
        ],
        timers,
    )
    for name in _NAMESPACES:
        api.create(api.at("namespaces"), {"metadata": {"name": name}})
    return reactor
