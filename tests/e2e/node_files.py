"""How the programs of a node are set up: their configuration files and command lines."""

import json
import uuid
from dataclasses import dataclass

from tests.e2e.binaries import Binaries
from tests.e2e.place import DNS_ADDRESS, POD_NETWORK, Machine, Place

_GPUS = 2
LABELS = {
    "accelerator": "nvidia",
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.count": str(_GPUS),
    "scenario-runner/allow": "true",
}
PAUSE_IMAGE = "docker.io/library/e2e-pause:1"


@dataclass(frozen=True)
class Gpu:
    """`pci` as the driver prints it: domain, bus, device."""

    index: int
    uuid: str
    pci: str


def gpus(place: Place, machine: Machine) -> tuple[Gpu, ...]:
    """They do not exist; no two nodes have the same."""
    return tuple(
        Gpu(
            index,
            f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{index}.{machine.name}.{place.name}.invalid')}",
            f"{place.pci_domain}:{16 * machine.number + index:02x}:00",
        )
        for index in range(_GPUS)
    )


def write(place: Place, machine: Machine, binaries: Binaries) -> None:
    """All files, into the node's folder."""
    disk = place.node(machine)
    (disk / "cni").mkdir(exist_ok=True)
    (disk / "cni" / "10-pods.conflist").write_text(json.dumps(_pod_network(machine), indent=2))
    (disk / "containerd.toml").write_text(_containerd(place, machine, binaries))
    (disk / "kubelet.json").write_text(json.dumps(_kubelet(place, machine), indent=2))
    (disk / "kube-proxy.json").write_text(json.dumps(_proxy(place, machine), indent=2))


def arguments(program: str, place: Place, machine: Machine) -> list[str]:
    """The command line of a program of the node."""
    disk = place.node(machine)
    if program == "containerd":
        return [f"--config={disk}/containerd.toml"]
    if program == "kube-proxy":
        return [f"--config={disk}/kube-proxy.json"]
    if program == "deviceplugin":
        return [gpu.uuid for gpu in gpus(place, machine)]
    labels = ",".join(f"{name}={value}" for name, value in LABELS.items())
    return [
        f"--config={disk}/kubelet.json",
        f"--kubeconfig={place.kubeconfig_of(machine.name)}",
        f"--hostname-override={machine.name}",
        f"--node-ip={machine.address}",
        f"--node-labels={labels}",
        "-v=2",
    ]


def _pod_network(machine: Machine) -> dict[str, object]:
    """Point to point links: a pod is reached by a route, so that Services work without filters on bridges."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": machine.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


def _containerd(place: Place, machine: Machine, binaries: Binaries) -> str:
    runtime = "plugins.'io.containerd.cri.v1.runtime'"
    return f"""version = 3
imports = []

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE_IMAGE}'

[{runtime}]
restrict_oom_score_adj = true  # lowering it takes a right that containers of a test machine may not have

[{runtime}.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[{runtime}.containerd.runtimes.runc.options]
BinaryName = '{binaries["runc"]}'
SystemdCgroup = false

[{runtime}.cni]
bin_dirs = ['{binaries.folder_of("ptp")}']
conf_dir = '{place.node(machine)}/cni'

[plugins.'io.containerd.internal.v1.opt']
path = '/var/lib/containerd/opt'  # else a folder of the whole machine

[plugins.'io.containerd.nri.v1.nri']
disable = true

[plugins.'io.containerd.metadata.v1.bolt']
no_sync = true
"""


def _kubelet(place: Place, machine: Machine) -> dict[str, object]:
    certificates = place.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": machine.address,
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{certificates}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{certificates}/{machine.name}-kubelet.crt",
        "tlsPrivateKeyFile": f"{certificates}/{machine.name}-kubelet.key",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        # What a machine made of namespaces can not have, or would change for everybody.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # an image that was thrown away could not be pulled again
        "imageGCLowThresholdPercent": 99,
        # Fast, so that tests are.
        "nodeStatusUpdateFrequency": "2s",
        "nodeStatusReportFrequency": "20s",
        "nodeLeaseDurationSeconds": 8,
        "syncFrequency": "5s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "crashLoopBackOff": {"maxContainerRestartPeriod": "10s"},
        "maxPods": 40,
        "podPidsLimit": 500,
    }


def _proxy(place: Place, machine: Machine) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(place.kubeconfig_of("kube-proxy"))},
        "clusterCIDR": POD_NETWORK,
        "detectLocalMode": "ClusterCIDR",
        "hostnameOverride": machine.name,
        "healthzBindAddress": f"{machine.address}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": ["primary"],
        "oomScoreAdj": 0,
        # Limits of connection tracking count for the whole machine: leave them.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
