"""Which resources the server knows: the built-in ones from a real server's discovery, and those of CRDs."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scenario_runner.lab.apiserver.objects import Json, Key

# Discovery and OpenAPI of kube-apiserver v1.37.2, cut down to the resources served here.
_FACTS = Path(__file__).with_name("kubernetes-1.37.json.gz")
_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One row of discovery, with the schema its objects follow."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    subresources: tuple[Json, ...] = ()
    schema: Json = field(default_factory=dict, compare=False)
    columns: tuple[Json, ...] = ()
    is_custom: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def has(self, subresource: str) -> bool:
        return any(one["name"].split("/", 1)[1] == subresource for one in self.subresources)

    @property
    def storage_group(self) -> str:
        """Events are one set of objects behind two API groups."""
        return "" if self.group == "events.k8s.io" else self.group


@dataclass(frozen=True)
class Target:
    """What a request is about: a resource, and as much of namespace, name and subresource as its path has."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    sub: str = ""

    @property
    def key(self) -> Key:
        return Key(self.resource.storage_group, self.resource.plural, self.namespace, self.name)


class Catalog:
    """All served resources. Custom ones come and go with their CustomResourceDefinition."""

    def __init__(self, facts: Json) -> None:
        self.version: Json = facts["version"]
        self.definitions: dict[str, Json] = facts["definitions"]
        self._served: dict[tuple[str, str, str], Resource] = {}
        for row in facts["resources"]:
            self._add(_from_discovery(row, self._definition(row["group"], row["version"], row["kind"])))

    @classmethod
    def load(cls) -> "Catalog":
        return cls(json.loads(gzip.decompress(_FACTS.read_bytes())))

    def _definition(self, group: str, version: str, kind: str) -> Json:
        wanted = {"group": group, "version": version, "kind": kind}
        for name, definition in self.definitions.items():
            if wanted in definition.get("x-kubernetes-group-version-kind", ()):
                return {"$ref": f"#/definitions/{name}"}
        return {}

    def scale_schema(self) -> Json:
        return self._definition("autoscaling", "v1", "Scale")

    def _add(self, resource: Resource) -> None:
        self._served[(resource.group, resource.version, resource.plural)] = resource

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._served.get((group, version, plural))

    def builtin(self, plural: str) -> Resource:
        """A resource that Kubernetes itself defines, by its plural alone; events are those of v1."""
        return next(one for one in self._served.values() if one.plural == plural and not one.is_custom)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._served.values())

    def groups(self) -> dict[str, list[str]]:
        """Group -> its versions, the core group left out."""
        found: dict[str, list[str]] = {}
        for resource in self:
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        del found[""]
        return found

    def define(self, crd: Json) -> None:
        """Serve what a CustomResourceDefinition describes, replacing what its earlier form described."""
        self.undefine(crd)
        for version in crd["spec"]["versions"]:
            if version.get("served"):
                self._add(_from_crd(crd["spec"], version))

    def undefine(self, crd: Json) -> None:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        for place in [place for place in self._served if place[0] == group and place[2] == plural]:
            del self._served[place]


def _from_discovery(row: Json, schema: Json) -> Resource:
    return Resource(
        group=row["group"],
        version=row["version"],
        plural=row["name"],
        kind=row["kind"],
        namespaced=row["namespaced"],
        singular=row["singular"],
        short_names=tuple(row["shortNames"]),
        categories=tuple(row["categories"]),
        verbs=tuple(row["verbs"]),
        subresources=tuple(row["subresources"]),
        schema=schema,
    )


def _from_crd(spec: Json, version: Json) -> Resource:
    names: dict[str, Any] = spec["names"]
    subresources = version.get("subresources") or {}
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular") or names["kind"].lower(),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(
            {"name": f"{names['plural']}/{sub}", "kind": names["kind"], "verbs": ["get", "patch", "update"]}
            for sub in subresources
            if sub == "status"
        ),
        schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        is_custom=True,
    )
