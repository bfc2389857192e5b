"""Where the API server is and how it is spoken to: plain HTTP in a lab, TLS with a service account in a cluster."""

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True)
class Access:
    """`trust` is None for plain HTTP. A token in a file is read for every call: in a cluster it changes."""

    address: str
    trust: ssl.SSLContext | None
    token: str | None
    token_file: Path | None

    def connection(self, seconds: float) -> http.client.HTTPConnection:
        if self.trust is None:
            return http.client.HTTPConnection(self.address, timeout=seconds)
        return http.client.HTTPSConnection(self.address, timeout=seconds, context=self.trust)

    def headers(self) -> dict[str, str]:
        """Raises OSError if there is no token where it should be."""
        token = self.token_file.read_text().strip() if self.token_file else self.token
        return {"accept": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})


def read_access(kubeconfig: Path) -> Access:
    """From the first cluster and user of the file. Raises OSError, ValueError or KeyError."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"] or {}
    server = urlsplit(cluster["server"])
    trust = None
    if server.scheme == "https":
        if "certificate-authority" not in cluster:
            raise ValueError(f"{kubeconfig} names {server.geturl()} without a file of the authority that signed for it")
        trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
    elif server.scheme != "http":
        raise ValueError(f"{kubeconfig} names {server.geturl()}, which is neither http nor https")
    token_file = user.get("tokenFile")
    return Access(server.netloc, trust, user.get("token"), Path(token_file) if token_file else None)
