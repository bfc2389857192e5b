"""What clients ask first: API groups, resources, the version, and the OpenAPI documents."""

from collections.abc import Callable, Mapping
from typing import Any

from scenario_runner.lab.apiserver.failures import no_such_path
from scenario_runner.lab.apiserver.objects import Json
from scenario_runner.lab.apiserver.resources import Catalog, Resource

# Sent by kubectl to see whether it may leave validation to the server.
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("fieldValidation", "dryRun", "fieldManager")
]


def describe(catalog: Catalog, path: str) -> Json | None:
    """The document at a discovery path; None where the path is none.

    Raises ApiError (404) for a group, or an OpenAPI document of a group, that is not served.
    """
    roots: Mapping[str, Callable[[Catalog], Json]] = {
        "/api": _core_versions,
        "/apis": _group_list,
        "/version": lambda catalog: catalog.version,
        "/openapi/v2": _openapi_v2,
        "/openapi/v3": _openapi_index,
    }
    if path in roots:
        return roots[path](catalog)
    if path.startswith("/openapi/v3/"):
        return _openapi_v3(catalog, path.removeprefix("/openapi/v3"))
    match path.strip("/").split("/"):
        case ["api", "v1"]:
            return _resource_list(catalog, "", "v1")
        case ["apis", group]:
            return _group(catalog, group)
        case ["apis", group, version]:
            return _resource_list(catalog, group, version)
    return None


def _core_versions(_catalog: Catalog) -> Json:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group_list(catalog: Catalog) -> Json:
    groups = [_group(catalog, name) for name in catalog.groups()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(catalog: Catalog, name: str) -> Json:
    if name not in catalog.groups():
        raise no_such_path()
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in catalog.groups()[name]]
    body: Json = {"kind": "APIGroup", "apiVersion": "v1", "name": name}
    return body | {"versions": versions, "preferredVersion": versions[0]}


def _of(catalog: Catalog, group: str, version: str) -> list[Resource]:
    found = [one for one in catalog if (one.group, one.version) == (group, version)]
    if not found:
        raise no_such_path()
    return found


def _resource_list(catalog: Catalog, group: str, version: str) -> Json:
    rows: list[Json] = []
    for one in _of(catalog, group, version):
        row: Json = {"name": one.plural, "singularName": one.singular, "namespaced": one.namespaced}
        row |= {"kind": one.kind, "verbs": list(one.verbs), "shortNames": list(one.short_names)}
        rows.append(row | {"categories": list(one.categories)})
        rows += [{"singularName": "", "namespaced": one.namespaced, **sub} for sub in one.subresources]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": rows}


def _prefix(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _openapi_index(catalog: Catalog) -> Json:
    prefixes = sorted({_prefix(one) for one in catalog})
    return {"paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}?hash=lab"} for one in prefixes}}


def _openapi_v2(catalog: Catalog) -> Json:
    info = {"title": "Kubernetes", "version": catalog.version["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": catalog.definitions}


def _openapi_v3(catalog: Catalog, path: str) -> Json:
    paths: Json = {}
    for one in catalog:
        if f"/{_prefix(one)}" != path:
            continue
        about = {"group": one.group, "version": one.version, "kind": one.kind}
        operation = {"parameters": _PARAMETERS, "x-kubernetes-group-version-kind": about, "responses": {}}
        collection = f"{path}/namespaces/{{namespace}}/{one.plural}" if one.namespaced else f"{path}/{one.plural}"
        paths[collection] = {"post": operation}
        paths[collection + "/{name}"] = {"patch": operation, "put": operation}
    if not paths:
        raise no_such_path()
    info = {"title": "Kubernetes", "version": catalog.version["gitVersion"]}
    schemas = {name: _moved(definition) for name, definition in catalog.definitions.items()}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _moved(schema: Any) -> Any:
    """References of an OpenAPI 2 definition, as OpenAPI 3 writes them."""
    if isinstance(schema, dict):
        return {name: _moved(value) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_moved(value) for value in schema]
    if isinstance(schema, str):
        return schema.replace("#/definitions/", "#/components/schemas/")
    return schema
