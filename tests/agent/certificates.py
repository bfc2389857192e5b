"""Real certificates for tests: an authority, and pairs that it signed."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path

    def options(self) -> list[str]:
        """What an agent takes to serve with it."""
        return ["--tls-cert", str(self.cert), "--tls-key", str(self.key)]


class Authority:
    """Signs certificates; `cert` is what others have to trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            "req", "-x509", *_EC, "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", str(self._key), "-out", str(self.cert),
        )  # fmt: skip

    def pair(self, *names: str) -> Pair:
        """A key and a certificate for names such as `IP:127.0.0.1` and `DNS:agents`."""
        pair = Pair(self._folder / "leaf.pem", self._folder / "leaf.key")
        _openssl(
            "req", "-x509", *_EC, "-subj", "/CN=leaf", "-addext", f"subjectAltName={','.join(names)}",
            "-addext", "basicConstraints=critical,CA:FALSE", "-CA", str(self.cert), "-CAkey", str(self._key),
            "-keyout", str(pair.key), "-out", str(pair.cert),
        )  # fmt: skip
        return pair


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
