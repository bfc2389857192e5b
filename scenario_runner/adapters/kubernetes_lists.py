"""Lists of the API server: which objects are asked for, and page by page, so that no answer is larger than a page."""

from collections.abc import Iterator, Mapping
from typing import Any

from scenario_runner.adapters.kubernetes_rest import KubernetesRest

Json = Any
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_PAGE = 500  # objects; what kubectl asks for


def selection(labels: str = "", fields: Mapping[str, str] | None = None) -> dict[str, str]:
    """The query that chooses by labels and by fields; an empty value of a field chooses nothing."""
    chosen = ",".join(f"{field}={value}" for field, value in (fields or {}).items() if value)
    query = {"labelSelector": labels, "fieldSelector": chosen}
    return {key: value for key, value in query.items() if value}


def names(rest: KubernetesRest, path: str, query: Mapping[str, str]) -> Iterator[str]:
    """Those of a list of a built-in kind; of the objects nothing else is sent but what kubectl would print."""
    for page in pages(rest, path, {**query, "includeObject": "None"}, accept=_TABLE):
        yield from (row["cells"][0] for row in ([] if page is None else page["rows"]))


def pages(
    rest: KubernetesRest, path: str, query: Mapping[str, str], *, patient: bool = True, accept: str = ""
) -> Iterator[Json | None]:
    """Every part of a list, all of the same version; one None where the server answers 404."""
    go_on = ""
    while True:
        more = {"continue": go_on} if go_on else {}
        page = rest.get(path, {**query, "limit": str(_PAGE), **more}, patient=patient, accept=accept)
        yield page
        go_on = "" if page is None else (page.get("metadata") or {}).get("continue") or ""
        if not go_on:
            return
