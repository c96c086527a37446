"""
Binary by its own content type: bytes in, bytes out.

Uploaded as content is whatever says another Content-Type than FHIR's, and what holds another
resource; X-Security-Context becomes `securityContext`. It is stored as the Binary that it means,
so every rule, restriction and record of the pipeline is that of any resource.

Downloaded is the content, unless FHIR's own content types are named in Accept, or the request has
parameters that only a resource can follow. One range of it may be asked for. A browser never
shows it as part of this origin: it is an attachment, in a sandbox without rights, of the type that
it was stored with, or of none.

The ETag of the content is strong, unlike that of the resource: a version's bytes never change, so
a download can be continued (If-Range). A date is too coarse for that.

https://hl7.org/fhir/R4/binary.html, https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec

from fhir_server.api.request import Request
from fhir_server.api.response import Headers, Response, http_date
from fhir_server.interactions.answers import Answer, Found, NotModified
from fhir_server.interactions.bundles import operation_outcome
from fhir_server.r4.base64binary import compact, decoded, encoded, length
from fhir_server.r4.errors import FhirError, Invalid, Issue, WrongMediaType
from fhir_server.r4.interaction import Content
from fhir_server.r4.media import MEDIA_CHARACTERS_MAX, Format, given
from fhir_server.r4.resource import Resource, from_text, to_text
from fhir_server.r4.xml import from_xml
from fhir_server.search.predicates.version import Version

CONTENT_TYPE_CHARACTERS_MAX: Final = 255

AT_ONCE_BYTES_MAX: Final = 1 << 18
"""What is larger is encoded and decoded in a thread."""

OCTETS: Final = "application/octet-stream"

SAFELY: Final[Headers] = [
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
]


async def uploaded(request: Request, id: str | None) -> Content:
    """
    The Binary that the body of a create, or of an update of `id`, means.

    Raises WrongMediaType when the Content-Type is none, Invalid for what says FHIR's own and is
    no resource, or brings X-Security-Context along with a Binary.
    """
    stated = " ".join((request.header("content-type") or "").split())
    format = _format_of(stated)
    body = await request.body()
    if format is not None:
        resource = await _read(body, format, is_fhir=_FHIR.match(stated) is not None)
        if resource is not None and resource.get("resourceType") == "Binary":
            if request.header("x-security-context") is not None:
                raise Invalid("X-Security-Context is for content; a Binary has its securityContext")
            return resource
    if not _is_media_type(stated):
        raise WrongMediaType("The Content-Type of a Binary must be a media type such as application/pdf")
    content = encoded(body) if len(body) <= AT_ONCE_BYTES_MAX else await asyncio.to_thread(encoded, body)
    return _binary(content, stated, request.header("x-security-context"), id)


def is_download(request: Request, steps: tuple[str, ...]) -> bool:
    """Is a Binary read, and not asked for as a resource?"""
    if request.method not in ("GET", "HEAD") or steps[:1] != ("Binary",):
        return False
    if not (len(steps) == 2 or (len(steps) == 4 and steps[2] == "_history")):
        return False
    accept = request.header("accept") or ""
    if len(accept) > MEDIA_CHARACTERS_MAX:
        return False
    return not (_FHIR_ACCEPTED.search(accept) or any(name in _SHAPING for name, _ in request.parameters))


async def downloaded(answer: Answer, request: Request) -> Response | None:
    """The content of the Binary that was read; None when it is to be shown as a resource."""
    match answer:
        case NotModified(version=version):
            return Response(304, _state(version), b"")
        case Found(version=version) if version.body is not None:
            if len(version.body) <= AT_ONCE_BYTES_MAX:
                return _content(version, version.body, request)
            return await asyncio.to_thread(_content, version, version.body, request)
        case _:
            return None


class _Stored(msgspec.Struct, rename="camel"):
    """What is read of a Binary; its data only where it lies."""

    content_type: str = OCTETS
    data: msgspec.Raw = msgspec.Raw(b'""')
    security_context: dict[str, Any] | None = None


def _format_of(stated: str) -> Format | None:
    """The format of a body that may hold a resource. Raises WrongMediaType for a false one of FHIR's."""
    try:
        return given(stated)
    except WrongMediaType:
        if _FHIR.match(stated):
            raise
        return None


async def _read(body: bytes, format: Format, *, is_fhir: bool) -> Resource | None:
    """The resource in `body`; None when it is none and need not be."""
    reader = from_text if format is Format.JSON else from_xml
    try:
        return reader(body) if len(body) <= AT_ONCE_BYTES_MAX else await asyncio.to_thread(reader, body)
    except FhirError:
        if is_fhir:
            raise
        return None


def _binary(content: str, content_type: str, context: str | None, id: str | None) -> Resource:
    resource: dict[str, Any] = {"resourceType": "Binary"}
    if id is not None:
        resource["id"] = id
    resource["contentType"] = content_type
    if context is not None:
        resource["securityContext"] = {"reference": context.strip()}
    if content:
        resource["data"] = content
    return resource


def _content(version: Version, body: bytes, request: Request) -> Response | None:
    stored = _decode(body)
    kind = stored.content_type if _is_media_type(stored.content_type) else OCTETS
    if _is_refused(kind, request):
        return None
    plain = compact(_text(stored.data))
    size = length(plain)
    headers = [*_state(version), *SAFELY, (b"accept-ranges", b"bytes"), *_context(stored)]
    part = _range(request, version, size)
    if part is None:
        return Response(200, headers, decoded(plain, 0, size), kind.encode())
    start, end = part
    if start >= end:
        headers = [*_state(version), (b"content-range", b"bytes */%d" % size)]
        issue = Issue("error", "invalid", f"The content has {size} bytes: the range is not within them")
        return Response(416, headers, to_text(operation_outcome((issue,))))
    headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size)))
    return Response(206, headers, decoded(plain, start, end), kind.encode())


def _is_media_type(text: str) -> bool:
    return len(text) <= CONTENT_TYPE_CHARACTERS_MAX and _MEDIA_TYPE.fullmatch(text) is not None


def _is_refused(kind: str, request: Request) -> bool:
    """Does Accept name JSON or XML in general, and nothing that the content is?"""
    accept = (request.header("accept") or "*/*").lower()
    if "*" in accept or kind.partition(";")[0].strip().lower() in accept:
        return False
    return _GENERAL.search(accept) is not None


def _range(request: Request, version: Version, size: int) -> tuple[int, int] | None:
    """
    Where the part that is asked for begins and ends; None for the whole.

    Several ranges, and what is not written as the RFC says, are not heard: the whole is the answer.
    """
    match = _RANGE.fullmatch(request.header("range") or "") if request.method == "GET" else None
    validator = request.header("if-range")
    if match is None or (validator is not None and validator.strip() != _etag(version)):
        return None
    first, last = match[1], match[2]
    if first:
        if last and int(last) < int(first):
            return None
        return int(first), min(int(last) + 1, size) if last else size
    return (max(size - int(last), 0), size) if last else None


def _text(data: msgspec.Raw) -> bytes:
    """The string that `data` is in JSON."""
    raw = bytes(data)
    return raw[1:-1] if b"\\" not in raw else msgspec.json.decode(raw, type=str).encode()


def _context(stored: _Stored) -> Headers:
    reference = (stored.security_context or {}).get("reference")
    if isinstance(reference, str) and _PRINTABLE.fullmatch(reference):
        return [(b"x-security-context", reference.encode())]
    return []


def _state(version: Version) -> Headers:
    return [(b"etag", _etag(version).encode()), (b"last-modified", http_date(version.last_updated))]


def _etag(version: Version) -> str:
    return f'"{version.number}"'


_decode: Final = msgspec.json.Decoder(_Stored).decode
_SHAPING: Final = frozenset(("_elements", "_format", "_pretty", "_summary"))
_FHIR: Final = re.compile(r"application/fhir\+(?:json|xml)\b", re.IGNORECASE)
_FHIR_ACCEPTED: Final = re.compile(
    r"application/fhir\+(?:json|xml)\b(?![^,]*;\s*q=0(?:\.0*)?\s*(?:[,;]|$))", re.IGNORECASE
)
_GENERAL: Final = re.compile(r"(?:application|text)/(?:json|xml)\b")
_WORD: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+"
_MEDIA_TYPE: Final = re.compile(
    rf'{_WORD}/{_WORD}(?: ?; ?{_WORD}=(?:{_WORD}|"[A-Za-z0-9 !#-\[\]-~]*"))*', re.ASCII
)
_PRINTABLE: Final = re.compile(r"[!-~]{1,2000}")
_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII)
