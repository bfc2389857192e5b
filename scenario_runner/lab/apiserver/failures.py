"""What the server says when it refuses: one exception, and the Status bodies that clients branch on."""

from collections.abc import Sequence

from scenario_runner.lab.apiserver.objects import Json


class ApiError(Exception):
    """A refusal with its HTTP code; `status()` is the body a client receives."""

    def __init__(
        self, code: int, reason: str, message: str, details: Json | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.retry_after = details, retry_after

    def status(self) -> Json:
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body |= {"message": self.message} | ({"reason": self.reason} if self.reason else {})
        if self.details:
            body["details"] = {name: value for name, value in self.details.items() if value}
        return body | {"code": self.code}


def qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def not_found(plural: str, group: str, name: str) -> ApiError:
    details = {"name": name, "group": group, "kind": plural}
    return ApiError(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', details)


def already_exists(plural: str, group: str, name: str) -> ApiError:
    details = {"name": name, "group": group, "kind": plural}
    return ApiError(409, "AlreadyExists", f'{qualified(plural, group)} "{name}" already exists', details)


def conflict(plural: str, group: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, {"name": name, "group": group, "kind": plural})


def forbidden(plural: str, name: str, why: str, causes: Sequence[Json] = ()) -> ApiError:
    details = {"name": name, "kind": plural, "causes": list(causes)}
    return ApiError(403, "Forbidden", f'{plural} "{name}" is forbidden: {why}', details)


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def not_in_the_lab(what: str) -> ApiError:
    """A part of Kubernetes that the lab leaves out on purpose."""
    return ApiError(501, "NotImplemented", f"the embedded lab does not implement {what}; use a real cluster for it")


def unsupported_media(accepted: str) -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(kind: str, group: str, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """422 with one cause per problem: (field, reason, message)."""
    found = [{"reason": reason, "message": message, "field": field} for field, reason, message in causes]
    texts = [f"{cause['field']}: {cause['message']}" for cause in found]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {"name": name, "group": group, "kind": kind, "causes": found}
    return ApiError(422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {text}', details)
