"""The platform's outpost on a node of a real cluster: shows its kernel log and boot id, and can reboot it."""

import argparse
import json
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from scenario_runner.lab.platform.kernel_log import KernelLog, Record, open_kernel_log

_KEPT = 20_000  # records; more than a ring usually holds
_GRACE = 0.3  # seconds between the answer to the order and the reboot


class Outpost:
    """Reads the log once for everybody who asks."""

    def __init__(self, log: KernelLog, boot_id_file: Path) -> None:
        self._log = log
        self._boot_id_file = boot_id_file
        self._records: deque[Record] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def records(self, after: int) -> list[Record]:
        """Raises OSError."""
        with self._lock:
            self._records += self._log.read()
            return [one for one in self._records if one.sequence > after]

    def boot_id(self) -> str:
        """Raises OSError."""
        return self._boot_id_file.read_text().strip()

    def write(self, level: int, text: str) -> None:
        """Raises OSError."""
        self._log.write(level, text)


def reboot() -> None:
    """Ask process 1 of the node, whose processes this one must see, to end; whoever watches the node boots it again."""
    time.sleep(_GRACE)
    os.kill(1, signal.SIGTERM)


class OutpostServer(ThreadingHTTPServer):
    """`GET /boot-id`, `GET /records?after=N`, `POST /line {"level", "text"}`, `POST /reboot`, all with the token."""

    def __init__(self, address: tuple[str, int], outpost: Outpost, token: str) -> None:
        super().__init__(address, _Handler)
        self.outpost = outpost
        self.token = token


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._serve(self._get)

    def do_POST(self) -> None:
        self._serve(self._post)

    def _serve(self, answer: Callable[[OutpostServer], object]) -> None:
        assert isinstance(self.server, OutpostServer)
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._reply(HTTPStatus.UNAUTHORIZED, "no or another token")
            return
        try:
            self._reply(HTTPStatus.OK, answer(self.server))
        except (OSError, ValueError, KeyError) as error:
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    def _get(self, server: OutpostServer) -> object:
        url = urlsplit(self.path)
        if url.path == "/boot-id":
            return server.outpost.boot_id()
        after = int(parse_qs(url.query)["after"][0])
        return [[one.priority, one.sequence, one.text] for one in server.outpost.records(after)]

    def _post(self, server: OutpostServer) -> object:
        if self.path == "/reboot":
            threading.Thread(target=reboot, daemon=True).start()
            return "ok"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.outpost.write(int(body["level"]), str(body["text"]))
        return "ok"

    def _reply(self, status: HTTPStatus, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Polls are not worth a line."""


def main(argv: list[str] | None = None) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="outpost", description="Shows a node's kernel log to the platform.")
    parser.add_argument("--host", required=True, help="address to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", type=Path, required=True, help="who asks must show it")
    parser.add_argument("--kernel-log", default="real", help="`real` or a file")
    parser.add_argument("--boot-id-file", type=Path, required=True)
    options = parser.parse_args(argv)
    outpost = Outpost(open_kernel_log(options.kernel_log), options.boot_id_file)
    token = options.token_file.read_text().strip()
    OutpostServer((options.host, options.port), outpost, token).serve_forever()


if __name__ == "__main__":
    main()
