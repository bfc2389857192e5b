"""Volumes of the lab's pods: where they are on this machine, and that none leads out of its node."""

from pathlib import Path

import pytest

from scenario_runner.lab.kubelet.environment import ConfigError, Objects
from scenario_runner.lab.kubelet.volumes import fill_volumes, here, mounts


def host_path(path: str, kind: str, host: Path) -> Path:
    volume = {"name": "v", "hostPath": {"path": path, "type": kind}}
    return fill_volumes({"volumes": [volume]}, Objects(), host / "pod", host / "root")["v"]


def test_mount_paths_are_replaced_where_they_stand_alone() -> None:
    mounted = {"/etc/a": Path("/v/1"), "/etc/a/b": Path("/v/2")}
    assert here("--f=/etc/a/b/x:/etc/a /etc/ab /x/etc/a", mounted) == "--f=/v/2/x:/v/1 /etc/ab /x/etc/a"


def test_a_mount_of_no_volume_is_named() -> None:
    container = {"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/x"}]}
    with pytest.raises(ConfigError, match=r"^container main mounts volume v, which the pod does not have$"):
        mounts(container, {})


def test_a_sub_path_is_made_below_its_volume(tmp_path: Path) -> None:
    container = {"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/x/", "subPath": "a/b"}]}
    assert mounts(container, {"v": tmp_path}) == {"/x": tmp_path / "a" / "b"}
    assert (tmp_path / "a" / "b").is_dir()


def test_a_kind_of_volume_that_does_not_exist_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        fill_volumes({"volumes": [{"name": "v", "nfs": {}}]}, Objects(), tmp_path, tmp_path)
    assert str(caught.value) == (
        "volume v is of a kind that the lab does not have (configMap, secret, emptyDir, hostPath)"
    )


@pytest.mark.parametrize("kind", ["", "DirectoryOrCreate"])
def test_a_path_of_the_host_is_made_in_the_file_system_of_the_node(tmp_path: Path, kind: str) -> None:
    assert host_path("/run/a/b", kind, tmp_path) == tmp_path / "root" / "run" / "a" / "b"
    assert (tmp_path / "root" / "run" / "a" / "b").is_dir()


def test_a_file_of_the_host_is_made_where_its_folder_is_there(tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    assert host_path("/etc/word", "FileOrCreate", tmp_path).read_bytes() == b""
    assert host_path("/etc/word", "File", tmp_path) == tmp_path / "root" / "etc" / "word"


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("/run/x", "Directory", "hostPath type check failed: /run/x is not a directory"),
        ("/run/x", "File", "hostPath type check failed: /run/x is not a file"),
        ("/run/x", "FileOrCreate", "hostPath type check failed: /run/x is not a file"),
        ("/dev/kmsg", "CharDevice", "hostPath type check failed: /dev/kmsg does not exist"),
        ("/run/../../x", "", "hostPath /run/../../x must not contain '..'"),
    ],
)
def test_a_path_of_the_host_that_is_not_what_it_shall_be_is_named(
    tmp_path: Path, path: str, kind: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        host_path(path, kind, tmp_path)
    assert str(caught.value) == message
