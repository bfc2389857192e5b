"""Takes the token from the path of a request: over plain HTTP kubectl never sends it as a header."""

from dataclasses import dataclass
from hmac import compare_digest

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class SecretPath:
    """`/TOKEN/api/...` becomes `/api/...` with the header that belongs to it; all else is passed on as it came."""

    app: ASGIApp
    token: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first, _, rest = scope.get("path", "").removeprefix("/").partition("/")
        if scope["type"] == "http" and compare_digest(first.encode(), self.token.encode()):
            headers = [one for one in scope["headers"] if one[0] != b"authorization"]
            headers.append((b"authorization", f"Bearer {self.token}".encode()))
            scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "headers": headers}
        await self.app(scope, receive, send)
