"""Namespaces for checks: made anew, and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.contract.kubernetes.server import Server, Space, eventually


@contextmanager
def fresh_space(server: Server, name: str) -> Iterator[Space]:
    """A namespace of that name in which pods can be created; nobody waits until it is gone."""
    made = Space(server, name)
    made.made({"kind": "Namespace", "metadata": {"name": name}})
    eventually(lambda: made.exists("ServiceAccount", "default"), "the default service account is there")
    try:
        yield made
    finally:
        server.call("DELETE", made.path("Pod"), {"gracePeriodSeconds": 0})  # no kubelet confirms the end of these
        made.delete("Namespace", name)
