"""
One request of a browser, and the pages and redirects that answer it.

https://www.w3.org/TR/CSP3/, https://www.rfc-editor.org/rfc/rfc9700#section-4.12
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.api.pages.people import policy, target_of
from fhir_server.api.request import Request
from fhir_server.api.response import Headers, Response
from fhir_server.pipeline.authorizing.asking import Asked
from fhir_server.pipeline.authorizing.sessions import Session
from fhir_server.pipeline.logging_in import LockedOut, LoginRefused
from fhir_server.r4.errors import TooMany
from fhir_server.smart.caller import Contact

HTML: Final = b"text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a browser: what it sent, whose session it is, and what waits to be decided."""

    request: Request
    contact: Contact
    cookies: Mapping[str, str]
    session: Session | None
    asked: Asked | None
    form: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]


class OutOfDate(Exception):
    """What was asked for has been decided, is over, or was never there."""


def page(status: int, body: bytes, waiting: Asked | None, headers: Headers | None = None) -> Response:
    targets = () if waiting is None else (target_of(waiting.redirect_uri),)
    guarded: Headers = [
        (b"content-security-policy", policy(targets).encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    ]
    return Response(status, [*guarded, *(headers or [])], body, HTML)


def led(url: str) -> Response:
    """Go there, by GET: https://www.rfc-editor.org/rfc/rfc9700#section-4.12"""
    return Response(303, [(b"location", url.encode()), (b"referrer-policy", b"no-referrer")], b"")


def later(response: Response, refusal: LoginRefused | LockedOut | TooMany) -> Response:
    """The same, with when it is worth to come again, where that is known."""
    if isinstance(refusal, LoginRefused):
        return response
    seconds = refusal.seconds if isinstance(refusal, LockedOut) else refusal.retry_after_seconds
    response.headers.append((b"retry-after", str(seconds).encode()))
    return response
