"""Under which path of the API server an object is found."""

from scenario_runner.adapters.kubernetes_rest import KubernetesRest
from scenario_runner.core.ports import ObjectRef
from scenario_runner.errors import TargetRefused

_CORE = {
    "Node": "nodes",
    "Pod": "pods",
    "Service": "services",
    "ConfigMap": "configmaps",
    "Event": "events",
    "Namespace": "namespaces",
}
_APPS = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
}
_PLURALS = {("v1", kind): plural for kind, plural in _CORE.items()} | {
    ("apps/v1", kind): plural for kind, plural in _APPS.items()
}


class KubernetesPaths:
    """Knows the built-in kinds; the name of another one is looked up in discovery, once."""

    def __init__(self, rest: KubernetesRest) -> None:
        self._rest = rest
        self._plurals = dict(_PLURALS)

    def of(self, ref: ObjectRef) -> str:
        """Raise TargetRefused (BadKind) for a kind that the server does not know."""
        root = f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"
        namespace = f"/namespaces/{ref.namespace}" if ref.namespace else ""
        return f"{root}{namespace}/{self._plural(root, ref)}/{ref.name}"

    def kind(self, word: str) -> tuple[str, str]:
        """API version and kind of a built-in kind by its name in lower case; raise TargetRefused (BadKind)."""
        versions = {known.lower(): (version, known) for version, known in self._plurals}
        if word.lower() not in versions:
            raise TargetRefused(f"cannot describe a {word}; there are {', '.join(sorted(versions))}", code="BadKind")
        return versions[word.lower()]

    def _plural(self, root: str, ref: ObjectRef) -> str:
        if (ref.api_version, ref.kind) not in self._plurals:
            known = self._rest.get(root) or {"resources": ()}
            for one in known["resources"]:
                if "/" not in one["name"]:
                    self._plurals[ref.api_version, one["kind"]] = one["name"]
        plural = self._plurals.get((ref.api_version, ref.kind))
        if plural is None:
            raise TargetRefused(
                f"the API server at {self._rest.address} knows no {ref.kind} in {ref.api_version}", code="BadKind"
            )
        return plural
