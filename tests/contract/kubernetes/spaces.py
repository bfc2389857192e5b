"""Namespaces for checks: made anew, and given back."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from tests.contract.kubernetes.plays import ROOT_CA
from tests.contract.kubernetes.server import Json, Server, Space, eventually


@contextmanager
def fresh_space(server: Server, name: str) -> Iterator[Space]:
    """A namespace of that name in which pods can be created; nobody waits until it is gone."""
    made = Space(server, name)
    try:
        yield _make(made)
    finally:
        _remove(made)


class Spaces:
    """
    Namespaces for one play after the other: to empty one costs a real server a fraction of what a new one does.

    Only plays with objects of the same kinds follow each other. What a controller made for one, which goes a little
    later, is no business of the next.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self._server, self._prefix = server, prefix
        self._numbers = itertools.count(1)
        self._empty: dict[frozenset[str], list[Space]] = {}  # safe where several threads borrow

    def __enter__(self) -> "Spaces":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for space in itertools.chain(*self._empty.values()):
            _remove(space)

    @contextmanager
    def empty(self, calls: Sequence[Json]) -> Iterator[Space]:
        """A namespace that holds nothing, for these calls by one thread."""
        kinds = frozenset(str(call["kind"]) for call in calls)
        empty = self._empty.setdefault(kinds, [])
        try:
            space = empty.pop()
        except IndexError:
            space = _make(Space(self._server, f"{self._prefix}-{next(self._numbers)}"))
        reusable = False
        try:
            yield space
            reusable = all(_emptied(space, kind) for kind in kinds)
        finally:
            if reusable:
                empty.append(space)
            else:
                _remove(space)


def _make(space: Space) -> Space:
    space.made({"kind": "Namespace", "metadata": {"name": space.namespace}})
    eventually(lambda: space.exists("ServiceAccount", "default"), "the default service account is there")
    return space


def _remove(space: Space) -> None:
    space.server.call("DELETE", space.path("Pod"), {"gracePeriodSeconds": 0})  # no kubelet confirms the end of these
    space.delete("Namespace", space.namespace)


def _emptied(space: Space, kind: str) -> bool:
    """Whether nothing of the kind is left."""
    ours = {"fieldSelector": f"metadata.name!={ROOT_CA}"}
    space.server.call("DELETE", space.path(kind), {"gracePeriodSeconds": 0}, **ours)
    for name in space.listed(kind, **ours).names:  # a namespace with a finalizer in it would never be gone
        space.merge(kind, name, {"metadata": {"finalizers": None}})
    return space.listed(kind, **ours).names == []
