"""Gives a pod its node: what a scheduler asks for."""

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.failures import conflict
from scenario_runner.lab.apiserver.objects import Json, clone, is_going, set_condition
from scenario_runner.lab.apiserver.resources import Target


def bind(api: Api, at: Target, body: Json) -> None:
    """Bind a pod to `body["target"]["name"]`.

    Raises ApiError: 404 (no such pod), 409 (it has a node already, or is being deleted).
    """
    at = Target(at.resource, at.namespace, at.name)
    pod = clone(api.get(at))
    if is_going(pod):
        raise conflict("pods/binding", "", at.name, f"pod {at.name} is being deleted, cannot be assigned to a host")
    if node := pod["spec"].get("nodeName"):
        raise conflict("pods/binding", "", at.name, f'pod {at.name} is already assigned to node "{node}"')
    pod["spec"]["nodeName"] = body["target"]["name"]
    set_condition(pod, {"type": "PodScheduled", "status": "True"}, api.now())
    scheduled = next(one for one in pod["status"]["conditions"] if one["type"] == "PodScheduled")
    for stale in ("reason", "message"):
        scheduled.pop(stale, None)
    api.store.put(at.key, pod)
