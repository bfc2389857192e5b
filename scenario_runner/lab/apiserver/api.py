"""The verbs of the API on the store, without HTTP: what the routes and the controllers both call."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from scenario_runner.lab.apiserver import failures
from scenario_runner.lab.apiserver.defaults import Defaults
from scenario_runner.lab.apiserver.deletion import Deletion, delete
from scenario_runner.lab.apiserver.objects import Clock, Json, Key, clone, is_going, timestamp
from scenario_runner.lab.apiserver.problems import Problem
from scenario_runner.lab.apiserver.resources import Catalog, Target
from scenario_runner.lab.apiserver.schema import Schemas
from scenario_runner.lab.apiserver.store import Store
from scenario_runner.lab.apiserver.validation import validate
from scenario_runner.lab.apiserver.views import shown, stored

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
# The server's own fields, which a client can not change.
_SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "namespace",
    "name",
    "generateName",
    "generation",
)
_ADDRESS = ("clusterIP", "clusterIPs")
# Replacing these needs a version: nobody may overwrite what he has not seen.
_MADE_BY_REPLACING = frozenset({"Lease", "Event", "Service", "Endpoints"})
_CONDITIONAL = frozenset({"PodDisruptionBudget", "Lease", "CustomResourceDefinition"})
_WITHOUT_GENERATION = frozenset(
    {"Node", "Namespace", "Service", "Lease", "ConfigMap", "Secret", "Event", "Endpoints", "ServiceAccount"}
)


@dataclass(frozen=True)
class Options:
    """`dry_run` stores nothing; `strict` refuses unknown fields instead of dropping them; a patch fails otherwise."""

    dry_run: bool = False
    strict: bool = False
    is_patch: bool = False


@dataclass(frozen=True)
class Api:
    """Creates, changes and deletes objects by the rules of the real server."""

    store: Store
    catalog: Catalog
    schemas: Schemas
    defaults: Defaults
    now: Clock
    service_network: str = "10.96.0"  # the first three numbers of the addresses of services

    @classmethod
    def empty(
        cls, now: Clock, eviction_after: int = 300, history: int = 2000, service_network: str = "10.96.0"
    ) -> "Api":
        """An API without objects and without controllers; `eviction_after` is in seconds."""
        catalog = Catalog.load()
        schemas, defaults = Schemas(catalog.definitions), Defaults(eviction_after)
        return cls(Store(history), catalog, schemas, defaults, now, service_network)

    def at(self, plural: str, namespace: str = "", name: str = "", sub: str = "") -> Target:
        """A target among the built-in resources."""
        return Target(self.catalog.builtin(plural), namespace, name, sub)

    def target_of(self, key: Key) -> Target:
        """The target of a stored object, whatever its resource."""
        rows = (one for one in self.catalog if (one.storage_group, one.plural) == (key.group, key.plural))
        return Target(next(rows), key.namespace, key.name)

    def find(self, at: Target) -> Json | None:
        return self.store.get(at.key)

    def get(self, at: Target) -> Json:
        """The stored object. Raises ApiError (404)."""
        found = self.store.get(at.key)
        if found is None:
            raise failures.not_found(at.resource.plural, at.resource.group, at.name)
        return found

    def select(self, plural: str, namespace: str = "") -> list[Json]:
        return self.store.select(self.catalog.builtin(plural).storage_group, plural, namespace)

    # Create

    def create(self, at: Target, body: Json, options: Options = Options()) -> Json:
        """Store a new object and return it.

        Raises ApiError: 400, 403 (namespace is going), 404 (no such namespace), 409 (exists), 422.
        """
        obj, problems = self._decoded(at, clone(body), options)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise failures.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + "".join(secrets.choice(NAME_ALPHABET) for _ in range(5))
        at = Target(at.resource, at.namespace, meta.get("name", ""))
        if at.resource.namespaced:
            self._require_namespace(at)
        self._prepare_new(at, obj)
        validate(at.resource, obj, found=problems)
        if self.find(at) is not None:
            raise failures.already_exists(at.resource.plural, at.resource.group, at.name)
        return obj if options.dry_run else self.store.put(at.key, obj)

    def replace(self, at: Target, body: Json, options: Options) -> tuple[Json, bool]:
        """Put an object in another's place; True with it where it was made, as a few kinds are that are not there."""
        if self.find(at) is not None:
            return self.change(at, lambda _old: body, options), False
        obj, _ = self._decoded(at, clone(body), options)  # what cannot be read is told before what is not there
        meta = obj["metadata"]
        if meta.setdefault("name", at.name) != at.name:
            raise failures.bad_request(_other_name(meta["name"], at.name))
        if at.sub or at.resource.kind not in _MADE_BY_REPLACING:
            raise failures.not_found(at.resource.plural, at.resource.group, at.name)
        if uid := meta.get("uid"):
            why = f"StorageError: invalid object: Precondition failed: UID in precondition: {uid}, UID in object meta: "
            raise failures.conflict(at.resource.plural, at.resource.group, at.name, why)
        meta.pop("resourceVersion", None)
        return self.create(at, obj, options), True

    def _require_namespace(self, at: Target) -> None:
        namespace = self.store.get(Key("", "namespaces", "", at.namespace))
        if namespace is None:
            raise failures.not_found("namespaces", "", at.namespace)
        if is_going(namespace):
            why = f"unable to create new content in namespace {at.namespace} because it is being terminated"
            message = f"namespace {at.namespace} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
            raise failures.forbidden(at.resource.plural, at.name, why, [cause])

    def _prepare_new(self, at: Target, obj: Json) -> None:
        meta = obj["metadata"]
        for name in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"):
            meta.pop(name, None)
        meta |= {"uid": str(uuid4()), "creationTimestamp": timestamp(self.now())}
        if at.resource.kind not in _WITHOUT_GENERATION:
            meta["generation"] = 1
        if at.resource.has("status") and at.resource.kind != "Node":  # a kubelet registers with its status
            obj.pop("status", None)
        self.defaults.fill(at.resource.kind, obj)
        self.defaults.admit(at.resource.kind, obj)
        if at.resource.kind == "Service":
            self._give_address(obj["spec"])

    def _give_address(self, spec: Json) -> None:
        taken = {service["spec"].get("clusterIP") for service in self.select("services")}
        free = (f"{self.service_network}.{number}" for number in range(20, 251))
        if spec["type"] != "ExternalName":
            spec.setdefault("clusterIP", next(address for address in free if address not in taken))
            spec.setdefault("clusterIPs", [spec["clusterIP"]])

    # Change

    def change(self, at: Target, edit: Callable[[Json], Json], options: Options = Options()) -> Json:
        """Replace an object by what `edit` makes of a copy, as the target's subresource allows.

        Raises ApiError: 400, 404, 409 (stale resourceVersion, other uid), 422, and whatever `edit` raises.
        """
        old = self.get(at)
        new, problems = self._decoded(at, edit(clone(shown(at, old))), options)
        new = stored(at, new, old)
        new = self._carried_over(at, old, new, options)
        if at.sub != "status":
            self.defaults.fill(at.resource.kind, new)
            if "generation" in new["metadata"] and _wanted(new) != _wanted(old):
                new["metadata"]["generation"] += 1
            validate(at.resource, new, old, problems)
        elif problems:
            raise failures.invalid(at.resource.kind, at.resource.group, at.name, problems)
        if options.dry_run:
            return new
        new = self.store.put(at.key, new)
        if is_going(new) and not new["metadata"].get("finalizers"):
            self._finish_deletion(at, new)
        return new

    def _finish_deletion(self, at: Target, obj: Json) -> None:
        still_waits = obj["metadata"].get("deletionGracePeriodSeconds") or obj.get("spec", {}).get("finalizers")
        if not still_waits:
            self.store.remove(at.key)

    def _carried_over(self, at: Target, old: Json, new: Json, options: Options) -> Json:
        before, meta = old["metadata"], new["metadata"]
        self._check_identity(at, before, meta, options)
        for field in _SYSTEM_FIELDS:
            meta.pop(field, None)
            if field in before:
                meta[field] = before[field]
        if at.sub == "status":
            return _with_status(at, old, new)
        if at.resource.kind == "Service":  # whoever replaces one need not know its address
            new["spec"] = {name: old["spec"][name] for name in _ADDRESS if name in old["spec"]} | (
                new.get("spec") or {}
            )
        if at.resource.has("status"):
            new.pop("status", None)
            new |= {"status": old["status"]} if "status" in old else {}
        return new

    def _check_identity(self, at: Target, before: Json, meta: Json, options: Options) -> None:
        """Whether it is this object, in this version, that the client wants to change."""
        version = meta.get("resourceVersion")
        if not version and (at.resource.kind in _CONDITIONAL or at.resource.is_custom):
            why = "Invalid value: 0: must be specified for an update"
            problem = ("metadata.resourceVersion", "FieldValueInvalid", why)
            raise failures.invalid(at.resource.plural, at.resource.group, at.name, [problem])
        if version and version != before["resourceVersion"]:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            raise failures.conflict(at.resource.plural, at.resource.group, at.name, why)
        for field in ("uid", "deletionGracePeriodSeconds"):
            is_other = field in meta and meta[field] != before.get(field)
            if is_other and (options.is_patch or field != "uid"):
                why = f"Invalid value: {json.dumps(meta[field])}: field is immutable"
                problem = (f"metadata.{field}", "FieldValueInvalid", why)
                raise failures.invalid(at.resource.kind, at.resource.group, at.name, [problem])
        if meta.get("uid", before["uid"]) != before["uid"]:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {before['uid']}"
            raise failures.conflict(at.resource.plural, at.resource.group, at.name, why)
        if meta.get("name", at.name) != at.name:
            raise failures.bad_request(_other_name(meta["name"], at.name))

    # Delete

    def delete(self, at: Target, wanted: Deletion = Deletion()) -> Json:  # noqa: B008 - frozen
        """Delete an object, or begin to; returns its last state, or the state in which it waits.

        Raises ApiError: 404, 409 (precondition).
        """
        return delete(self.store, at, self.get(at), wanted, self.now())

    # Reading what a client sent

    def _decoded(self, at: Target, obj: Json, options: Options) -> tuple[Json, list[Problem]]:
        """The object in the form in which it is stored, and what its schema has against it."""
        resource = at.resource
        version, kind = ("autoscaling/v1", "Scale") if at.sub == "scale" else (resource.api_version, resource.kind)
        if obj.setdefault("kind", kind) != kind or obj.setdefault("apiVersion", version) != version:
            sent, wanted = f"{obj['apiVersion']}, Kind={obj['kind']}", f"{version}, Kind={kind}"
            raise failures.bad_request(f"the object provided is unrecognized: got {sent}, expected {wanted}")
        if not isinstance(obj.setdefault("metadata", {}), dict):
            raise failures.bad_request("metadata must be an object")
        if resource.namespaced and obj["metadata"].setdefault("namespace", at.namespace) != at.namespace:
            raise failures.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        obj["metadata"].pop("managedFields", None)
        problems = self._check_schema(at, obj, options)
        return (stored(at, obj, None) if at.sub != "scale" else obj), problems

    def _check_schema(self, at: Target, obj: Json, options: Options) -> list[Problem]:
        schema = self.catalog.scale_schema() if at.sub == "scale" else at.resource.schema
        findings = self.schemas.walk(obj, schema)
        if findings.mistyped and not at.resource.is_custom:
            kind, version = at.resource.kind, at.resource.version
            message = f'{kind} in version "{version}" cannot be handled as a {kind}: {findings.mistyped[0]}'
            if options.is_patch:
                cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {message}", "field": "patch"}
                raise failures.ApiError(422, "Invalid", f' "" is invalid: patch: {message}', {"causes": [cause]})
            raise failures.bad_request(message)
        problems = [(text.split(" ")[0], "FieldValueTypeInvalid", text) for text in findings.mistyped]
        if findings.unknown and options.strict:
            unknown = ", ".join(f'unknown field "{field}"' for field in findings.unknown)
            message = f'{at.resource.kind} in version "{at.resource.version}" cannot be handled'
            raise failures.bad_request(f"{message} as a {at.resource.kind}: strict decoding error: {unknown}")
        return problems + findings.problems


def _wanted(obj: Json) -> Json:
    """The part of an object that counts as intent; a Deployment's annotations go down to its replica sets."""
    wanted = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    if obj["kind"] == "Deployment":
        wanted["annotations"] = obj["metadata"].get("annotations") or {}
    return wanted


def _with_status(at: Target, old: Json, new: Json) -> Json:
    """A status write leaves the rest alone; for pods and nodes it may carry labels and annotations."""
    kept: Json = clone(old)
    kept["status"] = new.get("status") or {}
    if at.resource.kind in {"Pod", "Node"}:
        for field in ("labels", "annotations"):
            kept["metadata"].pop(field, None)
            if field in new["metadata"]:
                kept["metadata"][field] = new["metadata"][field]
    return kept


def _other_name(found: str, at: str) -> str:
    return f"the name of the object ({found}) does not match the name on the URL ({at})"
