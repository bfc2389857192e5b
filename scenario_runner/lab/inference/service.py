"""What the service answers: models, completions, and honestly whether it is ready."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from scenario_runner.lab.inference.completions import Completion, Refused, failing, parse_completion
from scenario_runner.lab.inference.connection import Connection, Request
from scenario_runner.lab.inference.engine import Engine, NoToken
from scenario_runner.lab.inference.misbehaviour import Kind, Misbehaviour, parse_misbehaviour
from scenario_runner.lab.inference.settings import Settings

_HEADER = "x-misbehave"

Route = Callable[[Request, Connection], Awaitable[None]]


class Service:
    """One instance; `leaving` is set once it was told to go."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/live"): self._live,
            ("GET", "/health"): self._ready,
            ("GET", "/ready"): self._ready,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._plain,
        }
        self.leaving = False

    async def answer(self, request: Request, connection: Connection) -> None:
        """Write exactly one answer (or none, where misbehaviour wants that) to the connection."""
        route = self._routes.get((request.method, request.path))
        if route is None:
            known = any(path == request.path for _, path in self._routes)
            _refuse(connection, 405 if known else 404, f"There is no {request.method} {request.path} here.")
            return
        try:
            await route(request, connection)
        except Refused as refusal:
            _refuse(connection, refusal.status, str(refusal))

    async def _live(self, request: Request, connection: Connection) -> None:
        connection.reply(200, b'{"status": "alive"}')

    async def _ready(self, request: Request, connection: Connection) -> None:
        status = self._status()
        connection.reply(200 if status == "ready" else 503, json.dumps({"status": status}).encode())

    def _status(self) -> str:
        if self._engine.failure and self._settings.leaves_on_cuda_error:
            return "dead"
        return "leaving" if self.leaving else "ready" if self._engine.loaded else "loading"

    async def _models(self, request: Request, connection: Connection) -> None:
        self._insist_on_model()
        model = {"id": self._settings.model, "object": "model", "created": 0, "owned_by": "lab"}
        connection.reply(200, json.dumps({"object": "list", "data": [model]}).encode())

    async def _chat(self, request: Request, connection: Connection) -> None:
        await self._complete(request, connection, chat=True)

    async def _plain(self, request: Request, connection: Connection) -> None:
        await self._complete(request, connection, chat=False)

    async def _complete(self, request: Request, connection: Connection, *, chat: bool) -> None:
        self._insist_on_model()
        wrong = self._misbehaviour(request)
        if wrong.kind is Kind.HANG:
            await asyncio.Event().wait()
        elif wrong.kind is Kind.RESET:
            connection.reset()
        elif wrong.kind is Kind.EMPTY_BODY:
            connection.reply(200, b"")
        elif wrong.kind is Kind.ERROR_500:
            _refuse(connection, 500, "The engine failed.")
        else:
            await asyncio.sleep(wrong.seconds)
            completion = parse_completion(bytes(request.body), self._settings.model, chat=chat)
            await (self._stream if completion.stream else self._whole)(completion, connection, wrong.kind)

    async def _whole(self, completion: Completion, connection: Connection, wrong: Kind) -> None:
        limit = 0 if wrong is Kind.EMPTY_COMPLETION else completion.limit
        try:
            text = "".join([token async for token in self._engine.tokens(completion.prompt, limit)])
        except NoToken as error:
            raise Refused(503 if error.is_passing else 500, str(error)) from None
        body = completion.whole(text, limit)
        connection.reply(200, body, cut_at=len(body) // 2 if wrong is Kind.HALF_STREAM else None)

    async def _stream(self, completion: Completion, connection: Connection, wrong: Kind) -> None:
        limit = {Kind.EMPTY_COMPLETION: 0, Kind.HALF_STREAM: completion.limit // 2}.get(wrong, completion.limit)
        connection.start_stream()
        connection.stream(completion.opening())
        try:
            async for token in self._engine.tokens(completion.prompt, limit):
                connection.stream(completion.piece(token))
        except NoToken as error:
            connection.stream(failing(str(error)))
            connection.end_stream()
            return
        if wrong is Kind.HALF_STREAM:
            connection.close()
            return
        connection.stream(completion.closing(limit))
        connection.end_stream()

    def _insist_on_model(self) -> None:
        if not self._engine.loaded:
            raise Refused(503, "The model is still loading.")

    def _misbehaviour(self, request: Request) -> Misbehaviour:
        header = request.headers.get(_HEADER)
        if header is None:
            return self._settings.misbehaviour
        try:
            return parse_misbehaviour(header)
        except ValueError as error:
            raise Refused(400, str(error)) from None


def _refuse(connection: Connection, status: int, message: str) -> None:
    kind = {503: "service_unavailable", 500: "internal_error"}.get(status, "invalid_request_error")
    error = {"message": message, "type": kind, "param": None, "code": status}
    connection.reply(status, json.dumps({"error": error}).encode())
