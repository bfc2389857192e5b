"""The routes, which are the same for both roles, and the OpenAPI document made from them."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from fault_agent import __version__, messages
from fault_agent.answers import Key, as_json, refusals
from fault_agent.cuda_routes import cuda_routes
from fault_agent.refusal import Refusal
from fault_agent.service import Answer, Service
from fault_agent.xids import xid_table

FaultId = Annotated[str, Path(max_length=400, description="`<node>~<name>`")]
XidNumber = Annotated[int, Path(ge=1, le=999)]


def build_app(service: Service) -> FastAPI:
    """The application of one agent; building it starts nothing."""
    app = FastAPI(title="fault-agent", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(_open_routes(service))
    bearer = Depends(HTTPBearer(auto_error=False))  # documents the token; the guard in front checks it
    for router in (
        _state_routes(service),
        _changing_routes(service),
        cuda_routes(service),
        _reading_routes(service),
    ):
        app.include_router(router, dependencies=[bearer], responses=refusals(401, 403, 411, 413, 429, 500, 502, 503))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _not_routed)
    return app


def _open_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/health")
    def health() -> messages.HealthReply:
        """Answers as long as the process lives; needs no token."""
        return service.health()

    return router


def _state_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["state"])
    ready_type = messages.NodeReady | messages.GatewayReady

    @router.get("/readyz", response_model=ready_type, responses={503: {"model": ready_type}})
    def readyz() -> Response:
        """Whether faults can be injected now, and why not."""
        state = service.ready()
        return as_json(Answer(200 if state.ready else 503, state))

    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @router.get("/metrics", response_class=Response, responses={200: text})
    def metrics() -> Response:
        """Counters in the text format of Prometheus."""
        return PlainTextResponse(service.metrics())

    @router.get("/api/v1/gpus", response_model=messages.GpusReply, responses=refusals(404, 422))
    def gpus(node_name: Annotated[str | None, Query(max_length=253)] = None) -> Response:
        """The GPUs of a node and who holds them; a gateway needs `node_name`."""
        return as_json(service.gpus(node_name))

    @router.get("/api/v1/faults/gpu/xid-types")
    def xid_types() -> list[messages.XidReply]:
        """What is known about each XID."""
        return [messages.XidReply(**asdict(xid)) for xid in xid_table().xids]

    return router


def _changing_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["faults"])

    @router.post(
        "/api/v1/faults/gpu/inject/xid-{xid}",
        status_code=201,
        response_model=messages.FaultReply,
        responses={
            200: {"model": messages.FaultReply, "description": "known already, nothing was written again"},
            **refusals(400, 404, 409, 410, 422, 503, 507),
        },
    )
    def inject_xid(xid: XidNumber, request: messages.InjectRequest, key: Key = None) -> Response:
        """Write one XID line into the node's kernel log, at most once per key."""
        return as_json(service.inject(xid, request, key))

    @router.post(
        "/api/v1/faults/{fault_id}/recover",
        response_model=messages.FaultReply,
        responses=refusals(404, 409, 422, 503, 507),
    )
    def recover_fault(fault_id: FaultId, key: Key = None) -> Response:
        """Take a fault back; twice is fine. With its name as key an unknown id can never be injected later."""
        return as_json(service.recover(fault_id, key))

    @router.post(
        "/api/v1/faults/{fault_id}/renew",
        response_model=messages.RenewReply,
        responses=refusals(400, 404, 410, 422),
    )
    def renew_fault(fault_id: FaultId, request: messages.RenewRequest) -> Response:
        """Let a fault live on for `ttl` seconds from now, and learn whether it still does."""
        return as_json(service.renew(fault_id, request))

    return router


def _reading_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["faults"])

    @router.get("/api/v1/faults", responses=refusals(422))
    def list_faults(active_only: bool = False) -> messages.FaultsReply:  # noqa: FBT001, FBT002 - a query parameter
        """All faults, or those not finished; nodes that gave no answer are listed beside them."""
        return service.faults(active_only=active_only)

    @router.get("/api/v1/faults/{fault_id}", response_model=messages.FaultReply, responses=refusals(404, 422))
    def get_fault(fault_id: FaultId) -> Response:
        """One fault."""
        return as_json(service.fault(fault_id))

    return router


def _problem(status: int, code: str, message: str, node: str | None = None) -> JSONResponse:
    problem = messages.Problem(code=code, message=message, node=node)
    return as_json(Answer(status, messages.ErrorReply(error=problem)))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return _problem(error.status, error.code, error.message, error.node)


async def _not_valid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem(422, "invalid_request", f"{where}: {first['msg']}.")


async def _not_routed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    codes = {404: "no_such_route", 405: "method_not_allowed"}
    answer = _problem(error.status_code, codes.get(error.status_code, "bad_request"), f"{error.detail}.")
    answer.headers.update(error.headers or {})
    return answer
