"""The HTTP side: who may call, which verb a request is, and the shape of the answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from secrets import compare_digest

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from scenario_runner.lab.apiserver.api import Api
from scenario_runner.lab.apiserver.binding import bind
from scenario_runner.lab.apiserver.discovery import describe
from scenario_runner.lab.apiserver.eviction import evict
from scenario_runner.lab.apiserver.failures import ApiError, invalid, method_not_allowed
from scenario_runner.lab.apiserver.logs import log_response
from scenario_runner.lab.apiserver.objects import Json, is_going
from scenario_runner.lab.apiserver.pages import Page
from scenario_runner.lab.apiserver.patches import Patch
from scenario_runner.lab.apiserver.requests import Call, read_call
from scenario_runner.lab.apiserver.resources import Target
from scenario_runner.lab.apiserver.reviews import REVIEWS, review
from scenario_runner.lab.apiserver.selectors import Predicate, both, by_fields, by_labels
from scenario_runner.lab.apiserver.tables import as_table
from scenario_runner.lab.apiserver.views import shown
from scenario_runner.lab.apiserver.watching import Watches, WatchResponse, Wish

_OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_TYPE = frozenset({"kind", "apiVersion"})  # what the items of a list do not repeat
_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


@dataclass(frozen=True)
class Door:
    """Answers requests on behalf of an Api; `token` None means that everybody may come in."""

    api: Api
    watches: Watches
    token: str | None = None

    def application(self) -> Starlette:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        try:
            self._let_in(request)
            return await self._answer(request)
        except ApiError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
            return JSONResponse(error.status(), error.code, headers)

    def _let_in(self, request: Request) -> None:
        if self.token is None or request.url.path.startswith(_OPEN_PATHS):
            return
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not compare_digest(sent.encode(), self.token.encode()):
            raise ApiError(401, "Unauthorized", "Unauthorized")

    async def _answer(self, request: Request) -> Response:
        path = request.url.path.rstrip("/")
        if path in {"/healthz", "/livez", "/readyz"}:
            return PlainTextResponse("ok")
        if request.method == "GET" and (document := describe(self.api.catalog, path)) is not None:
            return JSONResponse(document)
        call = await read_call(request, self.api.catalog)
        if call.at.resource.kind in REVIEWS:
            return JSONResponse(review(call), 201)
        shape = call.at.sub if call.at.sub in _ACTIONS else "object" if call.at.name else "collection"
        action = _ACTIONS[shape].get(call.method)
        if action is None:
            raise method_not_allowed()
        return await action(self, call)

    # One object

    async def read(self, call: Call) -> Response:
        return self._one(call, self.api.get(call.at))

    async def create(self, call: Call) -> Response:
        return self._one(call, self.api.create(call.at, call.object_body(), call.options), 201)

    async def replace(self, call: Call) -> Response:
        obj, is_new = self.api.replace(call.at, call.object_body(), call.options)
        return self._one(call, obj, 201 if is_new else 200)

    async def patch(self, call: Call) -> Response:
        patch, resource = Patch(call.media_type, call.body), call.at.resource
        schema = self.api.catalog.scale_schema() if call.at.sub == "scale" else resource.schema

        def edit(old: Json) -> Json:
            return patch.apply(old, schema, self.api.schemas, is_custom=resource.is_custom)

        return self._one(call, self.api.change(call.at, edit, call.options))

    async def delete(self, call: Call) -> Response:
        last = self.api.delete(call.at, call.deletion())
        if call.at.resource.kind == "Pod" or is_going(last):
            return self._one(call, last)
        group = {"group": call.at.resource.group} if call.at.resource.group else {}
        details = {"name": call.at.name, **group, "kind": call.at.resource.plural, "uid": last["metadata"]["uid"]}
        return JSONResponse(_SUCCESS | {"details": details})

    def _one(self, call: Call, obj: Json, code: int = 200) -> Response:
        return JSONResponse(self._rendered(call, shown(call.at, obj)), code)

    def _rendered(self, call: Call, obj: Json) -> Json:
        if "as=Table" in call.accept and call.at.sub != "scale":
            include = call.query.get("includeObject", "Metadata")
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return as_table(call.at.resource, [obj], meta, include, self.api.now())
        return obj

    # Subresources with verbs of their own

    async def bind(self, call: Call) -> Response:
        bind(self.api, call.at, call.object_body())
        return JSONResponse(_SUCCESS | {"code": 201}, 201)

    async def evict(self, call: Call) -> Response:
        evict(self.api, call.at, call.object_body())
        return JSONResponse(_SUCCESS | {"code": 201}, 201)

    async def log(self, call: Call) -> Response:
        return await log_response(self.api, call.at, call.query)

    # Collections

    async def list_or_watch(self, call: Call) -> Response:
        return self._watch(call) if call.says("watch") else self._list(call)

    def _matches(self, call: Call) -> Predicate:
        kind = call.at.resource.kind
        fields = by_fields(call.query.get("fieldSelector", ""), kind)
        return both(by_labels(call.query.get("labelSelector", "")), fields)

    def _selected(self, call: Call) -> list[Json]:
        return self._matching(call, self.api.store.select(call.at.key.group, call.at.key.plural))

    def _matching(self, call: Call, objects: list[Json]) -> list[Json]:
        matches, within = self._matches(call), call.at.namespace
        return [obj for obj in objects if matches(obj) and within in {"", obj["metadata"].get("namespace")}]

    def _list(self, call: Call) -> Response:
        resource, store = call.at.resource, self.api.store
        _require_known(call, store.version)
        page = Page.asked_for(call.number("limit"), call.query.get("continue"), store.version)
        found = store.as_of(call.at.key.group, call.at.key.plural, page.version)
        if found is None:
            raise ApiError(410, "Expired", "The provided continue parameter is too old to display a consistent list")
        items, meta = page.of(self._matching(call, found), is_counted=not call.selects)
        items = [shown(call.at, obj) for obj in items]
        if "as=Table" in call.accept:
            include = call.query.get("includeObject", "Metadata")
            return JSONResponse(as_table(resource, items, meta, include, self.api.now()))
        if not resource.is_custom:
            items = [{name: value for name, value in obj.items() if name not in _TYPE} for obj in items]
        body = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta}
        return JSONResponse(body | {"items": items})

    def _watch(self, call: Call) -> Response:
        version = call.query.get("resourceVersion", "")
        if version and not version.isdecimal():
            why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise ApiError(500, "", f'resourceVersion: Invalid value: "{version}": {why}')
        initial = call.says("sendInitialEvents")
        if initial and call.query.get("resourceVersionMatch") != "NotOlderThan":
            why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid("ListOptions", "meta.k8s.io", "", [("resourceVersionMatch", "FieldValueForbidden", why)])
        wish = Wish(
            at=call.at,
            matches=self._matches(call),
            version=None if version in {"", "0"} or initial else int(version),
            seconds=call.number("timeoutSeconds") or 1800,
            bookmarks=call.says("allowWatchBookmarks"),
            initial_events=initial,
            show=lambda obj: self._rendered(call, shown(call.at, obj)),
        )
        return WatchResponse(self.watches, wish)

    async def delete_collection(self, call: Call) -> Response:
        wanted = call.deletion()
        deleted = []
        for obj in self._selected(call):
            meta = obj["metadata"]
            at = Target(call.at.resource, meta.get("namespace", ""), meta["name"])
            deleted.append(shown(at, self.api.delete(at, wanted)))
        resource = call.at.resource
        meta = {"resourceVersion": str(self.api.store.version)}
        body = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta}
        return JSONResponse(body | {"items": deleted})


def _require_known(call: Call, current: int) -> None:
    """A list that is to be as new as a version that nothing has yet. The real server waits for it, 3 s."""
    if call.number("resourceVersion") > current:
        message = f"Timeout: Too large resource version: {call.query['resourceVersion']}, current: {current}"
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1}, retry_after=1)


_ACTIONS: Mapping[str, Mapping[str, Callable[[Door, Call], Awaitable[Response]]]] = {
    "collection": {"GET": Door.list_or_watch, "POST": Door.create, "DELETE": Door.delete_collection},
    "object": {"GET": Door.read, "PUT": Door.replace, "PATCH": Door.patch, "DELETE": Door.delete},
    "status": {"GET": Door.read, "PUT": Door.replace, "PATCH": Door.patch},
    "scale": {"GET": Door.read, "PUT": Door.replace, "PATCH": Door.patch},
    "finalize": {"PUT": Door.replace},
    "binding": {"POST": Door.bind},
    "eviction": {"POST": Door.evict},
    "log": {"GET": Door.log},
}
