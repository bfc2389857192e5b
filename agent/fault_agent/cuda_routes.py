"""The routes of CUDA faults."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from fault_agent import messages
from fault_agent.answers import Key, as_json, refusals
from fault_agent.cuda_messages import ArmRequest, DisarmRequest, HitsReply, ProfileReply
from fault_agent.service import Service


def cuda_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/api/v1/cuda", tags=["cuda"])

    @router.post(
        "/arm",
        status_code=201,
        response_model=messages.FaultReply,
        responses={
            200: {"model": messages.FaultReply, "description": "known already, nothing was armed again"},
            **refusals(400, 404, 409, 410, 422, 507),
        },
    )
    def arm(request: ArmRequest, key: Key = None) -> Response:
        """Make CUDA calls fail in the processes of a node that carry the library; seen as a fault like any other."""
        return as_json(service.arm(request, key))

    @router.post("/disarm", response_model=messages.FaultReply, responses=refusals(400, 404, 422, 507))
    def disarm(request: DisarmRequest, key: Key = None) -> Response:
        """Recover a CUDA fault; twice is fine. With its name as key an unknown id can never be armed later."""
        return as_json(service.disarm(request, key))

    @router.get("/hits", response_model=HitsReply, responses=refusals(404, 422))
    def hits(
        node_name: Annotated[str | None, Query(max_length=253)] = None,
        fault_id: Annotated[str | None, Query(max_length=400)] = None,
    ) -> Response:
        """Which processes felt which fault, and which use CUDA out of reach; a gateway asks all nodes or one."""
        return as_json(service.hits(node_name, fault_id))

    @router.get("/profiles")
    def profiles() -> list[ProfileReply]:
        """The table of profiles: what a process sees of each kind of broken GPU."""
        return service.profiles()

    return router
