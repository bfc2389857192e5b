"""What goes wrong between us and an API server, as one sentence, and whether another try makes sense."""

import json
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from scenario_runner.adapters.kubernetes_access import Access
from scenario_runner.adapters.system_words import without_number
from scenario_runner.errors import TargetRefused, TargetUnreachable

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64  # verify codes of OpenSSL
_SOON = 1.0  # seconds to wait after 429 where the server does not say
_OUR_CERTIFICATE = (
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "CERTIFICATE_REVOKED",
)


class NoAnswer(TargetUnreachable):
    """The server did not do what was asked. `again_after`: seconds before another try makes sense; None: none does."""

    def __init__(self, message: str, *, sent: bool = False, again_after: float | None = None) -> None:
        super().__init__(message, sent=sent)
        self.again_after = again_after


class Silent(NoAnswer):
    """A stream from which nothing was heard for too long."""


def no_answer(access: Access, error: Exception, timeout: float) -> NoAnswer:
    """What an error of the connection means."""
    import urllib3

    server = f"the API server at {access.address}"
    if isinstance(error, urllib3.exceptions.SSLError) and not isinstance(_inner(error), ssl.SSLEOFError):
        return NoAnswer(_tls(access, server, error))
    if isinstance(error, urllib3.exceptions.ProxyError):
        proxy = urlsplit(access.proxy)
        via = f"the proxy {proxy.hostname}:{proxy.port}"
        return NoAnswer(
            f"{server} is not reachable: {via} does not let us through ({last_words(error)})", again_after=0
        )
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):  # NewConnectionError is one of these
        return NoAnswer(f"{server} is not reachable ({last_words(error)})", again_after=0)
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return NoAnswer(f"{server} did not answer within {timeout:g}s", sent=True)
    return NoAnswer(f"the connection to {server} broke off ({last_words(error)})", sent=True, again_after=0)


def _tls(access: Access, server: str, error: Exception) -> str:
    found = _inner(error)
    if isinstance(found, ssl.SSLCertVerificationError):
        return _bad_certificate(access, server, found)
    reason = str(getattr(found, "reason", "") or "")
    if any(word in reason for word in _OUR_CERTIFICATE):
        return f"{server} does not accept {access.not_accepted()} ({reason.lower().replace('_', ' ')})"
    if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
        return f"{server} does not speak TLS: its address should begin with http://"
    return f"no TLS connection to {server} ({last_words(error)})"


def _bad_certificate(access: Access, server: str, error: ssl.SSLCertVerificationError) -> str:
    why = error.verify_message.rstrip(".")
    if error.verify_code == _EXPIRED:
        return f"the certificate of {server} has expired: who runs it must renew it"
    if error.verify_code == _NOT_YET:
        return f"the certificate of {server} is not valid yet: is the clock of this machine right?"
    if error.verify_code in {_OTHER_NAME, _OTHER_ADDRESS}:
        return f"{server} shows a certificate for another name ({why})"
    return f"{server} shows a certificate that {access.selection.source} does not trust ({why})"


def _inner(error: BaseException) -> BaseException:
    """The innermost of nested client errors."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return error


def last_words(error: BaseException) -> str:
    """What the innermost of nested client errors says in the end: "Connection refused"."""
    error = _inner(error)
    return without_number(str(error).rpartition(": ")[2]) or type(error).__name__


def refusal(
    access: Access, what: str, status: int, body: bytes, headers: Mapping[str, str]
) -> TargetRefused | NoAnswer:
    """What an answer that is no success means; `what` is method and path."""
    reason, message = _status(status, body)
    server = f"the API server at {access.address}"
    if status == HTTPStatus.UNAUTHORIZED:
        return TargetRefused(f"{server} does not accept {access.not_accepted()} (401)", code=reason)
    if status == HTTPStatus.FORBIDDEN:
        return TargetRefused(f"{server} does not allow {what}: {message}", code=reason)
    text = f"{server} answered {status} to {what}: {message}"
    after = _retry_after(headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        if reason == "TooManyRequests" and '"DisruptionBudget"' in body.decode(errors="replace"):
            return TargetRefused(f"{server} refuses {what}: {message}", code="DisruptionBudget")
        return NoAnswer(text, again_after=_SOON if after is None else after)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return NoAnswer(text, sent=True, again_after=after or 0.0)
    return TargetRefused(f"the API server refuses {what}: {message}", code=reason)


def not_kubernetes(access: Access, path: str, body: bytes) -> TargetRefused:
    text = f"what answers at {access.address}{path} is not an API server: {body[:100]!r}"
    return TargetRefused(text, code="NotKubernetes")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; API servers never send the form with a date."""
    text = str(headers.get("Retry-After") or "")
    return float(text) if text.isdigit() else None


def _status(status: int, body: bytes) -> tuple[str, str]:
    """Reason and message of the Status object that an API server answers with."""
    try:
        answer: Any = json.loads(body)
        return str(answer.get("reason") or _reason(status)), str(answer.get("message") or f"status {status}")
    except (ValueError, AttributeError):
        return _reason(status), body[:200].decode(errors="replace") or f"status {status}"


def _reason(status: int) -> str:
    return "NotFound" if status == HTTPStatus.NOT_FOUND else f"http_{status}"
