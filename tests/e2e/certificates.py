"""Who is who in the cluster: one authority, a certificate for each program and person, and their kubeconfigs."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.place import API_ADDRESS, API_PORT, BRIDGE_ADDRESS, MACHINES, Place
from tests.e2e.running import run

# Kubernetes takes the user from the name (CN) and the groups from the organisations (O) of a client certificate.
USERS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "coredns": "/CN=system:coredns",
    "front-proxy": "/CN=front-proxy-client",
    **{one.name: f"/O=system:nodes/CN=system:node:{one.name}" for one in MACHINES},
}
_API_SERVER_NAMES = (
    "IP:127.0.0.1",
    f"IP:{BRIDGE_ADDRESS}",
    f"IP:{API_ADDRESS}",
    "DNS:localhost",
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
)
# Elliptic curves: all keys are made within half a second.
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_VALID = ("-days", "30")


@dataclass(frozen=True)
class Authority:
    """Signs certificates; `folder` holds `ca.crt`, `ca.key` and, for each name, `NAME.crt` and `NAME.key`."""

    folder: Path

    def found(self) -> None:
        subject = ("-subj", "/CN=e2e-authority")
        self._openssl("req", "-x509", *_NEW_KEY, *_VALID, *subject, "-keyout", "ca.key", "-out", "ca.crt")

    def issue(self, name: str, subject: str, alternatives: tuple[str, ...] = ()) -> None:
        """A certificate for servers (with their `alternatives`: addresses and names) and clients."""
        request, extensions = f"{name}.csr", self.folder / f"{name}.ext"
        lines = ["extendedKeyUsage=serverAuth,clientAuth"]
        lines += [f"subjectAltName={','.join(alternatives)}"] if alternatives else []
        extensions.write_text("\n".join(lines) + "\n")
        self._openssl("req", *_NEW_KEY, "-subj", subject, "-keyout", f"{name}.key", "-out", request)
        signer = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        self._openssl("x509", "-req", "-in", request, *signer, *_VALID, "-extfile", extensions, "-out", f"{name}.crt")

    def make_token_keys(self) -> None:
        """The key pair that signs the tokens of service accounts."""
        self._openssl("genrsa", "-out", "tokens.key", "2048")
        self._openssl("rsa", "-in", "tokens.key", "-pubout", "-out", "tokens.pub")

    def _openssl(self, *arguments: str | Path) -> None:
        run("openssl", *arguments, cwd=self.folder)


def make_all(place: Place) -> None:
    """Everything that control plane and nodes need before they start."""
    place.certificates.mkdir(parents=True)
    authority = Authority(place.certificates)
    authority.found()
    authority.make_token_keys()
    authority.issue("kube-apiserver", "/CN=kube-apiserver", _API_SERVER_NAMES)
    for one in MACHINES:
        authority.issue(f"{one.name}-kubelet", f"/CN={one.name}", (f"IP:{one.address}", f"DNS:{one.name}"))
    for user, subject in USERS.items():
        authority.issue(user, subject)
        write_kubeconfig(place, user, f"https://{BRIDGE_ADDRESS}:{API_PORT}", place.kubeconfig_of(user))


def write_kubeconfig(place: Place, user: str, server: str, file: Path) -> None:
    """The context is named after the cluster; certificates are named by path, not copied."""
    name = f"e2e-{place.name}"
    credentials = {
        "client-certificate": str(place.certificates / f"{user}.crt"),
        "client-key": str(place.certificates / f"{user}.key"),
    }
    cluster = {"server": server, "certificate-authority": str(place.certificates / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
    }
    file.write_text(json.dumps(document, indent=2))
    file.chmod(0o600)
