"""A node behind its outpost looks like a node whose files are at hand."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scenario_runner.lab.platform.kernel_log import FileLog, Record
from scenario_runner.lab.platform.outpost import Outpost, OutpostServer
from scenario_runner.lab.platform.place import Place, read_places
from scenario_runner.lab.platform.remote import Remote, RemoteLog


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """The URL of an outpost whose node has its kernel log and boot id in `folder`."""
    server = OutpostServer(("127.0.0.1", port), Outpost(FileLog(folder / "log"), folder / "boot_id"), "secret")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "boot_id").write_text("boot-1\n")
    (tmp_path / "gpus.json").write_text('{"gpus": [{"uuid": "GPU-1", "pci": "0000:17:00.0"}]}')
    with served(tmp_path) as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, url: str) -> Place:
    (tmp_path / "token").write_text("secret\n")
    row = {"outpost": url, "inventory": str(tmp_path / "gpus.json")}
    (tmp_path / "places.json").write_text(json.dumps({"nodes": {"gpu-1": row}, "token_file": str(tmp_path / "token")}))
    return read_places(tmp_path / "places.json").nodes["gpu-1"]


def test_a_record_is_read_once_by_each_reader(place: Place, tmp_path: Path, url: str) -> None:
    FileLog(tmp_path / "log").write(3, "first")
    assert place.kernel_log.read() == [Record(11, 0, "first")]
    place.kernel_log.write(6, "second")
    assert place.kernel_log.read() == [Record(14, 1, "second")]
    assert place.kernel_log.read() == []
    assert [one.text for one in RemoteLog(Remote(url, "secret")).read()] == ["first", "second"]


def test_the_boot_id_is_that_of_the_node_now(place: Place, tmp_path: Path) -> None:
    assert place.boot_id == "boot-1"
    (tmp_path / "boot_id").write_text("boot-2\n")
    assert place.boot_id == "boot-2"
    (tmp_path / "boot_id").unlink()
    with pytest.raises(OSError, match=r"500 .*No such file or directory"):
        _ = place.boot_id


def test_a_log_that_began_anew_is_known_by_its_numbers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text in ("a", "b"):
        FileLog(log).write(6, text)
    with served(tmp_path) as url:
        reader = RemoteLog(Remote(url, "secret"))
        assert len(reader.read()) == 2
        assert reader.rebooted() is False
    log.unlink()
    FileLog(log).write(6, "c")
    with served(tmp_path, int(url.rpartition(":")[2])):
        assert reader.rebooted() is True
        assert [one.text for one in reader.read()] == ["c"]


def test_nobody_is_served_without_the_token(url: str) -> None:
    with pytest.raises(OSError, match="401 no or another token"):
        RemoteLog(Remote(url, "guess")).read()


def test_a_node_that_is_down_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="refused"):
        _ = Remote("http://127.0.0.1:1", "secret").read_text()
