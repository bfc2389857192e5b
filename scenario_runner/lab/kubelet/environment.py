"""What a container finds in its environment, and in the ConfigMaps and Secrets that its pod names."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scenario_runner.lab.kube import Json

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class ConfigError(Exception):
    """A container can not be made as its pod describes it."""


@dataclass(frozen=True)
class Objects:
    """The data of the ConfigMaps and Secrets that a pod names, decoded; a missing one is absent."""

    config_maps: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)

    def data(self, kind: str, name: str, *, optional: bool = False) -> Mapping[str, bytes]:
        """`kind` is configmap or secret."""
        found = (self.config_maps if kind == "configmap" else self.secrets).get(name)
        if found is None and not optional:
            raise ConfigError(f'{kind} "{name}" not found')
        return found or {}


@dataclass(frozen=True)
class Facts:
    """What a pod may be told about itself, by field path."""

    fields: Mapping[str, str]


def references(spec: Json) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and of the Secrets that a pod uses."""
    maps: set[str] = set()
    secrets: set[str] = set()
    for container in spec["containers"]:
        for source in container.get("envFrom") or []:
            maps |= {source["configMapRef"]["name"]} if "configMapRef" in source else set()
            secrets |= {source["secretRef"]["name"]} if "secretRef" in source else set()
        for one in container.get("env") or []:
            source = one.get("valueFrom") or {}
            maps |= {source["configMapKeyRef"]["name"]} if "configMapKeyRef" in source else set()
            secrets |= {source["secretKeyRef"]["name"]} if "secretKeyRef" in source else set()
    for volume in spec.get("volumes") or []:
        maps |= {volume["configMap"]["name"]} if "configMap" in volume else set()
        secrets |= {volume["secret"]["secretName"]} if "secret" in volume else set()
    return maps, secrets


def decode(obj: Json) -> dict[str, bytes]:
    """The data of a ConfigMap or Secret."""
    if obj["kind"] == "Secret":
        return {name: base64.b64decode(text) for name, text in (obj.get("data") or {}).items()}
    plain = {name: str(text).encode() for name, text in (obj.get("data") or {}).items()}
    return plain | {name: base64.b64decode(text) for name, text in (obj.get("binaryData") or {}).items()}


def variables(container: Json, facts: Facts, objects: Objects) -> dict[str, str]:
    """The container's own variables, references between them resolved. Raises ConfigError."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        found |= {source.get("prefix", "") + name: value for name, value in _all_of(source, objects)}
    for one in container.get("env") or []:
        value = _value(one, facts, objects)
        if value is not None:
            found[one["name"]] = expand(value, found)
    return found


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the variable's value; an unknown one stays as it is."""
    return _REFERENCE.sub(lambda match: values.get(match[1], match[0]), text)


def _all_of(source: Json, objects: Objects) -> Iterator[tuple[str, str]]:
    for field_name, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
        if field_name in source:
            ref = source[field_name]
            for name, value in objects.data(kind, ref["name"], optional=bool(ref.get("optional"))).items():
                yield name, value.decode()


def _value(one: Json, facts: Facts, objects: Objects) -> str | None:
    source = one.get("valueFrom")
    if not source:
        return str(one.get("value", ""))
    if "fieldRef" in source:
        return facts.fields.get(source["fieldRef"]["fieldPath"], "")
    for field_name, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
        if field_name in source:
            ref = source[field_name]
            optional = bool(ref.get("optional"))
            value = objects.data(kind, ref["name"], optional=optional).get(ref["key"])
            if value is None and not optional:
                raise ConfigError(f"couldn't find key {ref['key']} in {kind} {ref['name']}")
            return None if value is None else value.decode()
    raise ConfigError(f"variable {one['name']} has a source that the lab does not have")
