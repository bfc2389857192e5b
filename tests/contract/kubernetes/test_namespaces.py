"""What every namespace is given, whoever takes it away."""

from tests.contract.kubernetes.server import Json, Space, eventually

AUTHORITY = "kube-root-ca.crt"


def authority(space: Space) -> Json | None:
    found = space.read("ConfigMap", AUTHORITY)
    return found.body if found.status == 200 else None


def test_a_namespace_is_given_what_an_api_server_is_verified_by(space: Space) -> None:
    found: Json = eventually(lambda: authority(space), "it is there")
    assert list(found["data"]) == ["ca.crt"]
    assert list(found["metadata"]["annotations"]) == ["kubernetes.io/description"]


def test_what_an_api_server_is_verified_by_comes_back(space: Space) -> None:
    first: Json = eventually(lambda: authority(space), "it is there")
    space.delete("ConfigMap", AUTHORITY)
    second: Json = eventually(lambda: authority(space), "it is there again")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["data"] == first["data"]


def test_what_an_api_server_is_verified_by_stays_as_it_was(space: Space) -> None:
    first: Json = eventually(lambda: authority(space), "it is there")
    space.merge("ConfigMap", AUTHORITY, {"data": {"ca.crt": "another", "more": "of it"}})
    eventually(lambda: (authority(space) or {}).get("data") == first["data"], "it is set right")
