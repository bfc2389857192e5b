"""A namespace of a test, with the few objects that tests of the cluster make in it."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.image import RUNNER_IMAGE
from tests.e2e.place import Trouble
from tests.e2e.running import wait_for

Json = dict[str, Any]

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Namespace:
    """Raises Trouble wherever something does not come about."""

    cluster: Cluster
    name: str

    @classmethod
    def make(cls, cluster: Cluster) -> "Namespace":
        made = cls(cluster, f"test-{secrets.token_hex(3)}")
        cluster.kubectl("create", "namespace", made.name)
        return made

    def remove(self) -> None:
        """Begin to: nobody waits until all of it is gone."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments)

    def get(self, *arguments: str) -> Json:
        return self.cluster.get(f"--namespace={self.name}", *arguments)

    def apply(self, *objects: Json) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.cluster.kubectl(f"--namespace={self.name}", "apply", "--filename=-", stdin=text)

    def run(self, name: str, program: str, **fields: Any) -> None:
        """A pod named `name` that is not started again unless `fields` of its spec say so."""
        spec = {"restartPolicy": "Never", **pod(program), **fields}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def deploy(self, name: str, replicas: int, program: str = SERVER, *, gpus: int = 0) -> None:
        """A Deployment, and a Service of the same name at port 80; returns when all pods are ready."""
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": pod(program, gpus=gpus, probed=program == SERVER)}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        ports = [{"port": 80, "targetPort": 8080}]
        self.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": labels, "ports": ports},
            },
        )
        self.wait_until_deployed(name)
        if program == SERVER:
            self.wait_until_passed_on(name)

    def wait_until_deployed(self, name: str, seconds: float = 60.0) -> None:
        self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={seconds:g}s")

    def path_to(self, name: str) -> str:
        """Where the API server passes requests on to the Service of what was deployed."""
        return f"/api/v1/namespaces/{self.name}/services/{name}:80/proxy/"

    def wait_until_passed_on(self, name: str) -> None:
        """The API server hears of ready pods by a watch of its own, later than a Deployment."""
        asked = ("get", f"--raw={self.path_to(name)}")
        wait_for(f"{name} is asked", 30, lambda: self.cluster.try_kubectl(*asked).returncode == 0, every=0.3)

    def pods(self, app: str) -> list[Json]:
        found: list[Json] = self.get("pods", f"--selector=app={app}")["items"]
        return found

    def wait_until_over(self, name: str, phase: str = "Succeeded", seconds: float = 60.0) -> None:
        """Until a pod that is not started again has ended, which is to be in `phase`."""
        wait_for(f"pod {name} is over", seconds, lambda: self._phase(name) in ("Succeeded", "Failed"), every=0.3)
        if self._phase(name) != phase:
            raise Trouble(f"Pod {name} is {self._phase(name)} and said: {self.kubectl('logs', name)}")

    def _phase(self, name: str) -> str:
        return str(self.get("pod", name)["status"]["phase"])


def pod(program: str, *, gpus: int = 0, probed: bool = False) -> Json:
    """The spec of a pod that runs some Python."""
    container: Json = {
        "name": "main",
        "image": RUNNER_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", program],
    }
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    if probed:
        container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return {"terminationGracePeriodSeconds": 1, "containers": [container]}
