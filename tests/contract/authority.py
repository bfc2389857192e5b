"""Certificates for API servers of the tests, also such that have expired."""

import ssl
import subprocess
from pathlib import Path

from tests.agent.certificates import Authority, Pair

_CONFIG = """
[ca]
default_ca = it
[it]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
subjectAltName = {names}
"""


class Registry(Authority):
    """An authority that also signs for days gone by."""

    def expired(self, *names: str) -> Pair:
        """Valid on the first of January of 2020 only."""
        pair = Pair(self._folder / "old.pem", self._folder / "old.key")
        request, config = self._folder / "old.csr", self._folder / "old.conf"
        config.write_text(_CONFIG.format(folder=self._folder, names=",".join(names)))
        (self._folder / "index").write_text("")
        (self._folder / "serial").write_text("01\n")
        _openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old",
            "-keyout", str(pair.key), "-out", str(request),
        )  # fmt: skip
        _openssl(
            "ca", "-batch", "-notext", "-config", str(config), "-cert", str(self.cert), "-keyfile", str(self._key),
            "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-in", str(request), "-out", str(pair.cert),
        )  # fmt: skip
        return pair


def server_context(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    """What a server speaks TLS with; `clients` signs the certificates that clients have to show."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
