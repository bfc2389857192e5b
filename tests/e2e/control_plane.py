"""The control plane: etcd, API server, controllers, scheduler and DNS as processes in one network namespace."""

import os
import signal
import sys
from pathlib import Path

from tests.e2e import network
from tests.e2e.binaries import Binaries
from tests.e2e.certificates import write_kubeconfig
from tests.e2e.cgroups import Group, processes
from tests.e2e.place import (
    API_PORT,
    BRIDGE_ADDRESS,
    CONTROL_PLANE,
    SERVICE_NETWORK,
    Place,
    Trouble,
)
from tests.e2e.running import start_daemon, try_to_run, wait_for

ETCD, API_SERVER, DNS = "etcd", "kube-apiserver", "coredns"
CONTROLLERS, SCHEDULER = "kube-controller-manager", "kube-scheduler"
PROGRAMS = (ETCD, API_SERVER, CONTROLLERS, SCHEDULER, DNS)

_REPOSITORY = Path(__file__).parents[2]
_ETCD_URL = "http://127.0.0.1:2379"
_PEER_URL = "http://127.0.0.1:2380"


class ControlPlane:
    """The programs of one cluster that are no node's."""

    def __init__(self, place: Place, binaries: Binaries) -> None:
        self._place = place
        self._binaries = binaries
        self.group = Group(place.group).below(CONTROL_PLANE)

    def start(self, program: str, *more: str) -> None:
        """Start one of PROGRAMS; what it prints is added to its log. Of a flag given twice the one in `more` counts."""
        self._spawn(program, [str(self._binaries[program]), *_arguments(program, self._place), *more], None)

    def start_beside(self, name: str, command: list[str]) -> None:
        """Another program in the same network, with a log of its own; it ends with the cluster."""
        self._spawn(name, command, None)

    def open_gate(self) -> None:
        """Let this machine reach the API server, and write the kubeconfig for people; the port is a free one."""
        file = self._place.state / "gate.port"
        # The gate enters the namespace by itself, after it has bound its port outside.
        command = [sys.executable, "-m", "tests.e2e.gate", self._place.namespace(), str(file)]
        self._spawn("gate", command, _REPOSITORY)
        wait_for(f"a port for the API server, see {self._place.logs}/gate.log", 20, file.exists)
        write_kubeconfig(self._place, "admin", f"https://127.0.0.1:{file.read_text()}", self._place.kubeconfig)

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        """Until the API server says that it can serve."""
        log = self._place.logs / f"{API_SERVER}.log"
        wait_for(f"the API server serves, see {log}", seconds, self._is_ready)

    def _is_ready(self) -> bool:
        kubectl = (self._binaries["kubectl"], f"--kubeconfig={self._place.kubeconfig}", "--request-timeout=2s")
        return try_to_run(*kubectl, "get", "--raw=/readyz").stdout == "ok"

    def kill(self, program: str) -> None:
        """End it at once; raises Trouble if it is not running."""
        found = [number for number, name in processes(self.group) if name == program]
        if not found:
            raise Trouble(f"{program} is not running.")
        for number in found:
            os.kill(number, signal.SIGKILL)
        wait_for(f"{program} has ended", 10, lambda: all(not _lives(number) for number in found))

    def pause(self, program: str) -> None:
        """Stop it in its tracks, connections stay open; `resume` lets it go on."""
        self._signal(program, signal.SIGSTOP)

    def resume(self, program: str) -> None:
        self._signal(program, signal.SIGCONT)

    def _signal(self, program: str, number: signal.Signals) -> None:
        for process, name in processes(self.group):
            if name == program:
                os.kill(process, number)

    def _spawn(self, name: str, command: list[str], folder: Path | None) -> None:
        if name != "gate":
            command = network.entered(self._place, None, command)
        start_daemon(self.group.joined(["setsid", "--fork", *command]), self._place.logs / f"{name}.log", folder)


def _lives(number: int) -> bool:
    """A process, or one of its threads: as long as one is left, the process holds its sockets."""
    try:
        threads = list(Path(f"/proc/{number}/task").iterdir())
        return len(threads) > 1 or (threads[0] / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _arguments(program: str, place: Place) -> list[str]:
    if program == ETCD:
        return _etcd(place)
    if program == API_SERVER:
        return _api_server(place.certificates)
    if program == DNS:
        return _dns(place)
    if program == CONTROLLERS:
        return [*_client(place, program), *_controllers(place)]
    return _client(place, program)


def _etcd(place: Place) -> list[str]:
    return [
        "--name=only",
        f"--data-dir={place.state}/etcd",
        f"--listen-client-urls={_ETCD_URL}",
        f"--advertise-client-urls={_ETCD_URL}",
        f"--listen-peer-urls={_PEER_URL}",
        f"--initial-advertise-peer-urls={_PEER_URL}",
        f"--initial-cluster=only={_PEER_URL}",
        "--unsafe-no-fsync",  # nothing here outlives a crash of the machine
        "--log-level=warn",
    ]


def _api_server(certificates: Path) -> list[str]:
    return [
        f"--etcd-servers={_ETCD_URL}",
        f"--bind-address={BRIDGE_ADDRESS}",
        f"--advertise-address={BRIDGE_ADDRESS}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--allow-privileged=true",  # the fault agent writes the kernel log
        "--profiling=false",
        # Who may do what, as on a cluster that kubeadm made.
        f"--client-ca-file={certificates}/ca.crt",
        f"--tls-cert-file={certificates}/kube-apiserver.crt",
        f"--tls-private-key-file={certificates}/kube-apiserver.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={certificates}/tokens.pub",
        f"--service-account-signing-key-file={certificates}/tokens.key",
        # Logs, exec and port-forward go to the kubelets.
        f"--kubelet-client-certificate={certificates}/admin.crt",
        f"--kubelet-client-key={certificates}/admin.key",
        f"--kubelet-certificate-authority={certificates}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        # Extension API servers would be asked under this name.
        f"--requestheader-client-ca-file={certificates}/ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificates}/front-proxy.crt",
        f"--proxy-client-key-file={certificates}/front-proxy.key",
        # Pods leave a dead node after 5 seconds, not after 5 minutes.
        "--default-not-ready-toleration-seconds=5",
        "--default-unreachable-toleration-seconds=5",
    ]


def _dns(place: Place) -> list[str]:
    file = place.state / "Corefile"
    file.write_text(f"""
.:53 {{
    bind {BRIDGE_ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {place.kubeconfig_of("coredns")}
        ttl 5
    }}
    cache 5
}}
""")
    return ["-conf", str(file)]


def _client(place: Place, program: str) -> list[str]:
    kubeconfig = place.kubeconfig_of(program)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",  # there is no other
    ]


def _controllers(place: Place) -> list[str]:
    certificates = place.certificates
    return [
        "--use-service-account-credentials=true",
        f"--root-ca-file={certificates}/ca.crt",
        f"--service-account-private-key-file={certificates}/tokens.key",
        f"--cluster-signing-cert-file={certificates}/ca.crt",
        f"--cluster-signing-key-file={certificates}/ca.key",
        # A silent node is not ready after 8 seconds, not after 50.
        "--node-monitor-period=1s",
        "--node-monitor-grace-period=8s",
        "--node-startup-grace-period=20s",
        "--node-eviction-rate=5",  # nodes a second; usually one in ten seconds, for which tests would queue
        f"--flex-volume-plugin-dir={place.state}/flex",  # else a folder of the machine
    ]
