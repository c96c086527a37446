"""
Answers and refusals as HTTP: status, headers, body.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fhir_server.interactions.answers import (
    Answer,
    Bundled,
    Document,
    Found,
    NotModified,
    Removed,
    Written,
)
from fhir_server.interactions.bundles import location, operation_outcome
from fhir_server.interactions.shaping import shaped_version
from fhir_server.r4.errors import (
    FhirError,
    Issue,
    MethodNotAllowed,
    TooMany,
    Unauthenticated,
    Unavailable,
    WrongContentCoding,
)
from fhir_server.r4.resource import to_text
from fhir_server.r4.shaping import Shape, shaped
from fhir_server.search.predicates.version import Version

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

FHIR_JSON: Final = b"application/fhir+json; charset=utf-8"
FHIR_XML: Final = b"application/fhir+xml; charset=utf-8"

_ALWAYS: Final[Headers] = [
    (b"vary", b"Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(frozen=True, slots=True)
class Response:
    """
    `body` may be empty; then no content type is sent. `is_page`: a Bundle that we made.

    A body with a `content_encoding` is packed already; that of an answer to HEAD need not be.
    """

    status: int
    headers: Headers
    body: bytes
    content_type: bytes = FHIR_JSON
    content_encoding: bytes | None = None
    is_page: bool = False
    cache_control: bytes = b"no-store"

    async def send(self, send: Send, *, request_id: str, without_body: bool) -> None:
        headers = [
            (b"cache-control", self.cache_control),
            *_ALWAYS,
            (b"x-request-id", request_id.encode()),
            *self.headers,
        ]
        if self.content_encoding is not None:
            headers.append((b"content-encoding", self.content_encoding))
        if self.status not in (204, 304) and not (without_body and self.content_encoding):
            headers.append((b"content-length", str(len(self.body)).encode()))
        if self.body:
            headers.append((b"content-type", self.content_type))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if without_body else self.body})


def render(answer: Answer, base_url: str, prefer_return: str | None, shape: Shape) -> Response:
    """
    The response to an interaction that was allowed.

    `shape` is that of what a write answers and of a document; what was read comes in its own.
    """
    match answer:
        case Found(version=version):
            assert version.body is not None, "a tombstone is refused with Gone"
            return Response(200, _state(version), version.body)
        case NotModified(version=version):
            return Response(304, _state(version), b"")
        case Written(version=version):
            return _written(answer, shaped_version(version, shape), base_url, prefer_return)
        case Removed(version=version):
            return _removed(version, prefer_return)
        case Bundled(body=body):
            return Response(200, [], body, is_page=True)
        case Document(resource=resource):
            return Response(200, [], shaped(to_text(resource), resource["resourceType"], shape))


def refuse(refusal: FhirError) -> Response:
    """The response to an interaction that was refused: an OperationOutcome."""
    headers: Headers = []
    if isinstance(refusal, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(refusal, MethodNotAllowed) and refusal.allowed:
        headers.append((b"allow", ", ".join(refusal.allowed).encode()))
    if isinstance(refusal, WrongContentCoding):
        headers.append((b"accept-encoding", b"gzip"))
    if isinstance(refusal, TooMany | Unavailable):
        headers.append((b"retry-after", str(refusal.retry_after_seconds).encode()))
    return Response(refusal.status, headers, to_text(operation_outcome(refusal.issues)))


def _written(answer: Written, version: Version, base_url: str, prefer_return: str | None) -> Response:
    """`version` is what is shown of the one that was written."""
    created = answer.created
    headers = _state(version)
    headers.append((b"location", location(base_url, version).encode()))
    status = 201 if created else 200
    if prefer_return == "minimal":
        return Response(status, headers, b"")
    if prefer_return == "OperationOutcome":
        told = f"{version.key} was {'created' if created else 'updated'}"
        return Response(status, headers, _information(told, *answer.warnings))
    assert version.body is not None, "a write that is no delete has a body"
    return Response(status, headers, version.body)


def _removed(version: Version | None, prefer_return: str | None) -> Response:
    headers: Headers = [] if version is None else [(b"etag", version.etag.encode())]
    if prefer_return != "OperationOutcome":
        return Response(204, headers, b"")
    told = "Nothing is left to delete" if version is None else f"{version.key} was deleted"
    return Response(200, headers, _information(told))


def _information(told: str, *warnings: Issue) -> bytes:
    return to_text(operation_outcome((*warnings, Issue("information", "informational", told))))


def _state(version: Version) -> Headers:
    return [
        (b"etag", version.etag.encode()),
        (b"last-modified", http_date(version.last_updated)),
    ]


def http_date(moment: datetime) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats, whole seconds."""
    utc = moment.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    time = f"{utc.hour:02d}:{utc.minute:02d}:{utc.second:02d}"
    return f"{day}, {utc.day:02d} {month} {utc.year:04d} {time} GMT".encode()


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
