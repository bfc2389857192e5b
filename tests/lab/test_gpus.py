"""GPUs of the lab's nodes: handed out once, and shown to nobody but their holder."""

import json
from pathlib import Path

from scenario_runner.lab.driver import build_driver, find_driver
from scenario_runner.lab.kubelet.environment import Facts, Objects
from scenario_runner.lab.kubelet.gpus import Driver, Gpu, GpuPool, Holder, read_inventory
from scenario_runner.lab.kubelet.sandbox import PodFiles, make_command

GPUS = (Gpu("GPU-a", "4001:10:00"), Gpu("GPU-b", "4001:11:00"))


def test_gpus_are_handed_out_once_and_the_file_says_to_whom(tmp_path: Path) -> None:
    pool = GpuPool(("GPU-a", "GPU-b"), tmp_path / "held.json")
    one, two = Holder("n", "one", "main"), Holder("n", "two", "main")
    assert pool.take({one: 1}) == {one: ("GPU-a",)}
    assert pool.take({two: 2}) is None
    assert '"pod": "one"' in (tmp_path / "held.json").read_text()
    pool.give_back("n", "one")
    assert (tmp_path / "held.json").read_text() == "{}"
    assert pool.take({two: 2}) == {two: ("GPU-a", "GPU-b")}


def test_the_inventory_is_read_in_its_order(tmp_path: Path) -> None:
    rows = [{"index": 0, "uuid": one.uuid, "pci": one.pci} for one in GPUS]
    (tmp_path / "gpus.json").write_text(json.dumps({"gpus": rows}))
    assert read_inventory(tmp_path / "gpus.json") == GPUS


def environment(tmp_path: Path, driver: Driver | None, held: tuple[str, ...], **own: str) -> dict[str, str]:
    facts = Facts({"metadata.name": "p", "status.podIP": "127.0.0.1"})
    files = PodFiles(tmp_path, "gpu-1", facts, Objects(), {}, {"main": held}, driver)
    container = {"name": "main", "command": ["true"], "env": [{"name": one, "value": own[one]} for one in own]}
    found = make_command(files, container, 0, None).environment
    names = ("LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "STUB_CUDA_GPUS")
    return {name: found[name] for name in names if name in found}


def test_a_container_finds_the_driver_and_its_own_gpu_only(tmp_path: Path) -> None:
    assert environment(tmp_path, Driver(Path("/driver"), GPUS), ("GPU-b",)) == {
        "LD_LIBRARY_PATH": "/driver",
        "NVIDIA_VISIBLE_DEVICES": "GPU-b",
        "CUDA_VISIBLE_DEVICES": "GPU-b",
        "STUB_CUDA_GPUS": "GPU-a@4001:10:00,GPU-b@4001:11:00",
    }


def test_what_the_container_says_itself_is_kept(tmp_path: Path) -> None:
    found = environment(
        tmp_path, Driver(Path("/driver"), GPUS), ("GPU-b",), LD_LIBRARY_PATH="/mine", CUDA_VISIBLE_DEVICES="0"
    )
    assert (found["LD_LIBRARY_PATH"], found["CUDA_VISIBLE_DEVICES"]) == ("/mine:/driver", "0")


def test_a_container_without_a_gpu_finds_no_driver(tmp_path: Path) -> None:
    assert environment(tmp_path, Driver(Path("/driver"), GPUS), ()) == {"NVIDIA_VISIBLE_DEVICES": "void"}


def test_a_lab_without_a_driver_tells_nothing_of_cuda(tmp_path: Path) -> None:
    assert environment(tmp_path, None, ("GPU-b",)) == {"NVIDIA_VISIBLE_DEVICES": "GPU-b"}


def test_the_stand_in_driver_is_built_where_it_is_asked_for() -> None:
    folder, why_not = find_driver()
    assert (why_not, (Path(folder) / "libcuda.so.1").is_file()) == ("", True)


def test_an_installation_without_sources_says_so(tmp_path: Path) -> None:
    assert build_driver(tmp_path, tmp_path) == ("", "This installation came without the sources of the CUDA library.")


def test_sources_that_can_not_be_built_say_what_the_compiler_said(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("stub:\n\t@echo no such luck >&2; exit 1\n")
    folder, why_not = build_driver(tmp_path, tmp_path / "build")
    assert (folder, why_not.startswith("The stand-in driver could not be built: ")) == ("", True)
