"""An open way to one API server: its address, connections with verified TLS, and what logs us in."""

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenario_runner.adapters.credentials import Plugin, certificate_end, login
from scenario_runner.adapters.kubeconfig import Selection
from scenario_runner.core.clock import Clock
from scenario_runner.core.samples import TlsFiles
from scenario_runner.errors import Refused, TargetUnreachable

_GONE = frozenset({"gcp", "azure"})  # auth-providers that Kubernetes dropped with 1.26


@dataclass(frozen=True)
class _Connections:
    """What the official client makes of a kubeconfig: temporary files of certificates, proxy, pool."""

    pool: Any
    configuration: Any
    certificate: str  # of a plugin; connections of another one are not used again


class Access:
    """
    One context of a kubeconfig, in use.

    The official client brings certificates, proxies and OIDC; logging in by token, file or plugin is ours, because the
    client goes on without credentials when a plugin fails. `kubernetes` takes a quarter of a second to import, so it is
    imported when the first instance is made. Raise Refused for what can never work, TargetUnreachable for a plugin.
    """

    def __init__(self, selection: Selection, clock: Clock) -> None:
        provider = str((selection.user.get("auth-provider") or {}).get("name", ""))
        if provider in _GONE:
            raise Refused(
                f"user {selection.user_name} in {selection.source} logs in by the auth-provider {provider}, which "
                "Kubernetes does not know any more: let the cloud's own command write the kubeconfig anew"
            )
        self.selection = selection
        self._clock = clock
        self._login = login(selection, clock)
        self._lock = threading.Lock()
        self._connections = self._connect(self._certificate())

    @property
    def server(self) -> str:
        """The whole address, for requests only: its path may be a secret."""
        return self.selection.server

    @property
    def address(self) -> str:
        return self.selection.address

    def pool(self) -> Any:
        """Connections, made anew when a plugin gave another certificate."""
        with self._lock:
            certificate = self._certificate()
            if certificate.get("client-certificate-data", "") != self._connections.certificate:
                self._connections.pool.clear()
                self._connections = self._connect(certificate)
            return self._connections.pool

    def headers(self) -> Mapping[str, str]:
        """What logs the next request in."""
        settings = self._connections.configuration.auth_settings().values()
        return {one["key"]: one["value"] for one in settings} | dict(self._login.headers())

    def forget(self) -> bool:
        """We were not accepted: whether it is worth to log in anew."""
        return self._login.forget()

    def tls(self) -> TlsFiles | None:
        """The files that another process needs to speak with the server; None where it is spoken to without TLS."""
        known = self._connections.configuration
        if not self.server.startswith("https://"):
            return None
        return TlsFiles(
            known.ssl_ca_cert or "", known.cert_file or "", known.key_file or "", known.tls_server_name or ""
        )

    @property
    def proxy(self) -> str:
        """The proxy in between, or ""."""
        return str(self._connections.pool.proxy or "") if hasattr(self._connections.pool, "proxy") else ""

    def close(self) -> None:
        self._connections.pool.clear()

    def not_accepted(self) -> str:
        """A sentence's end about our credentials, with the end of a certificate that has expired."""
        end = certificate_end(self.selection.user)
        who = f"the credentials of {self.selection.user_name or 'nobody'} in {self.selection.source}"
        if end is not None and end <= self._clock.now():
            return f"{who}: the client certificate expired on {end:%Y-%m-%d %H:%M} UTC"
        return who

    def _certificate(self) -> Mapping[str, str]:
        if not isinstance(self._login, Plugin):
            return {}
        status = self._login.status()
        if not status.get("clientCertificateData"):
            return {}
        pair = (("client-certificate-data", "clientCertificateData"), ("client-key-data", "clientKeyData"))
        return {ours: base64.b64encode(str(status[theirs]).encode()).decode() for ours, theirs in pair}

    def _connect(self, certificate: Mapping[str, str]) -> _Connections:
        import urllib3
        from kubernetes import client, config

        selection = self.selection
        secrets = {"token", "tokenFile", "exec", "username", "password"}
        user = {key: value for key, value in selection.user.items() if key not in secrets} | dict(certificate)
        document = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": dict(selection.cluster)}],
            "users": [{"name": "it", "user": user}],
        }
        configuration: Any = client.Configuration()
        try:
            config.load_kube_config_from_dict(document, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]
            if selection.cluster.get("proxy-url"):
                configuration.no_proxy = None  # NO_PROXY is about proxies of the environment
            elif selection.is_local:
                configuration.proxy = None  # as kubectl: nobody's proxy leads back to this machine
            pool = client.ApiClient(configuration).rest_client.pool_manager
        except (config.ConfigException, urllib3.exceptions.HTTPError, OSError, ValueError, TypeError) as exc:
            raise Refused(f"context {selection.context} in {selection.source} cannot be used: {exc}") from exc
        return _Connections(pool, configuration, certificate.get("client-certificate-data", ""))


def as_refusal(error: TargetUnreachable) -> Refused:
    """A login that fails before anything began is a reason not to begin."""
    return Refused(str(error))
