"""
One HTTP request, read with limits: headers as FHIR understands them, a bounded body.

https://hl7.org/fhir/R4/http.html#2.21.0.3
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from fhir_server.api.encoding import Inflating
from fhir_server.api.presentation import AT_ONCE_BYTES_MAX, Wanted, wanted
from fhir_server.r4.errors import (
    Invalid,
    TooLarge,
    TooSlow,
    Unauthenticated,
    WrongContentCoding,
    WrongMediaType,
)
from fhir_server.r4.interaction import PATCHES, Content, Handling, Parameters, PatchKind
from fhir_server.r4.media import Format, given, kind
from fhir_server.r4.shaping import GENERAL_PARAMETERS, WHOLE, Shape, shape_of_one
from fhir_server.r4.xml import from_xml

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

QUERY_CHARACTERS_MAX: Final = 16_384
PARAMETERS_MAX: Final = 200
_ETAG: Final = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"|(\*)')
_ONCE: Final = frozenset(
    {b"content-encoding", b"content-length", b"content-type", b"host", b"if-match", b"if-modified-since"}
)


class Request:
    """What came; each property raises Invalid when it was written wrongly."""

    def __init__(
        self, scope: Mapping[str, Any], receive: Receive, body_bytes_max: int, body_seconds_max: float
    ) -> None:
        self.method: str = scope["method"]
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self._headers) != len(scope["headers"]):
            self._headers = _joined(scope["headers"])
        self._query: bytes = scope["query_string"]
        self._parameters: Parameters | None = None
        self._form: Parameters = ()
        self._wanted: Wanted | None = None
        self._receive = receive
        self._body_bytes_max = body_bytes_max
        self._body_seconds_max = body_seconds_max

    def header(self, name: str) -> str | None:
        """The value of a header, by its lower-case name."""
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def refuse_conditions(self, *names: str) -> None:
        """A header that would make the request depend on something is never ignored."""
        for name in names:
            if name.encode() in self._headers:
                raise Invalid(f"`{name}` says nothing of this interaction")

    @property
    def parameters(self) -> Parameters:
        if self._parameters is None:
            self._parameters = pairs(self._query.decode("latin-1")) if self._query else ()
        return self._parameters

    @property
    def if_match(self) -> str | None:
        return self._etag("if-match")

    @property
    def if_none_match(self) -> str | None:
        return self._etag("if-none-match")

    @property
    def if_modified_since(self) -> datetime | None:
        text = self.header("if-modified-since")
        if text is None:
            return None
        try:
            moment = parsedate_to_datetime(text)
        except ValueError as error:
            raise Invalid("If-Modified-Since is not an HTTP date") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    @property
    def prefer(self) -> Mapping[str, str]:
        return _preferences(self.header("prefer") or "")

    @property
    def handling(self) -> Handling:
        return "lenient" if self.prefer.get("handling") == "lenient" else "strict"

    @property
    def wanted(self) -> Wanted:
        """How the answer is to look; a search by POST may say it in its form, once that is read."""
        if self._wanted is None:
            self._wanted = self._negotiated()
        return self._wanted

    def _negotiated(self) -> Wanted:
        format = pretty = None
        for name, value in (*self.parameters, *self._form):
            if name == "_format" and format is None:
                format = value
            elif name == "_pretty" and pretty is None:
                pretty = value
        return wanted(self._headers.get(b"accept"), self._headers.get(b"accept-encoding"), format, pretty)

    def shape_of(self, resource_type: str, *, with_criteria: bool = False) -> Shape:
        """
        How much of the resource that is answered is to be shown.

        Raises Invalid for a parameter that is not one of all interactions, unless there are
        criteria beside them.
        """
        if not self._query:
            return WHOLE
        general = [pair for pair in self.parameters if not with_criteria or pair[0] in GENERAL_PARAMETERS]
        return shape_of_one(general, resource_type, lenient=self.handling == "lenient")

    async def text(self) -> tuple[bytes, Format]:
        """The body of a write as it came, and what it is written in."""
        format = given(self.header("content-type"))
        return await self._body(), format

    async def body(self) -> bytes:
        """The body as it came, unpacked."""
        return await self._body()

    async def content(self) -> Content:
        """The resource in the body of a write: the text of JSON, or what XML says."""
        body, format = await self.text()
        if format is Format.JSON:
            return body
        return from_xml(body) if len(body) <= AT_ONCE_BYTES_MAX else await asyncio.to_thread(from_xml, body)

    async def content_if_any(self) -> Content | None:
        """As `content`; None where there is no body."""
        return None if not self._has_body() else await self.content()

    def _has_body(self) -> bool:
        return (
            self.header("content-length") not in (None, "0") or self.header("transfer-encoding") is not None
        )

    async def patch(self) -> tuple[PatchKind, Content]:
        """The body of a patch, and its kind. Raises WrongMediaType for anything else."""
        sent = kind(self.header("content-type"))
        patching = PATCHES.get(sent)
        if patching is not None:
            return patching, await self._body()
        return "fhirpath", await self.content()

    @property
    def if_none_exist(self) -> Parameters | None:
        """The criteria of a conditional create, as they would stand behind the `?` of a search."""
        text = self.header("if-none-exist")
        return None if text is None else pairs(text.removeprefix("?"))

    @property
    def criteria(self) -> Parameters:
        """The criteria of a conditional interaction: what does not shape the answer."""
        return tuple(pair for pair in self.parameters if pair[0] not in GENERAL_PARAMETERS)

    async def form(self) -> Parameters:
        """The parameters in the body of a search by POST."""
        body = await self._body()
        if not body:
            return ()
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise WrongMediaType("The body of a search must be application/x-www-form-urlencoded")
        self._form = pairs(body.decode("latin-1"))
        self._wanted = None
        return self._form

    async def _body(self) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds_max):
                return await self._received()
        except TimeoutError as late:
            raise TooSlow(f"The body was not whole within {self._body_seconds_max:g} seconds") from late

    async def _received(self) -> bytes:
        inflating = self._inflating()
        stated = self.header("content-length")
        if stated is not None and stated.isdecimal() and int(stated) > self._body_bytes_max:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Invalid("The client hung up before the body was whole")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._body_bytes_max:
                raise self._too_large()
            if inflating is None:
                chunks.append(chunk)
            else:
                for piece in inflating.feed(chunk):
                    chunks.append(piece)
                    await asyncio.sleep(0)
            if not message.get("more_body", False):
                if inflating is not None:
                    inflating.finish()
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _inflating(self) -> Inflating | None:
        """What unpacks the body. Raises WrongContentCoding when it is packed by anything but gzip, once."""
        match (self.header("content-encoding") or "identity").strip().lower():
            case "identity":
                return None
            case "gzip" | "x-gzip":
                return Inflating(self._body_bytes_max)
        raise WrongContentCoding("The Content-Encoding of a body can be gzip")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body has more than {self._body_bytes_max} bytes")

    def _etag(self, name: str) -> str | None:
        text = self.header(name)
        if text is None:
            return None
        match = _ETAG.fullmatch(text.strip())
        if match is None:
            raise Invalid(f'`{name}` is not an ETag such as W/"1"')
        return match[1] or match[2]


def pairs(query: str) -> Parameters:
    """The parameters of a query or form, decoded. Raises Invalid when they are not UTF-8 or too many."""
    if len(query) > QUERY_CHARACTERS_MAX:
        raise TooLarge(f"The query has more than {QUERY_CHARACTERS_MAX} characters")
    try:
        found = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError as error:
        raise Invalid(f"The query is not UTF-8, or has more than {PARAMETERS_MAX} parameters") from error
    if any(name == "access_token" for name, _ in found):
        # Here, before anybody records the query: addresses are logged, tokens must not be.
        raise Invalid("A token does not belong into an address or form: send Authorization: Bearer")
    return tuple(found)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers that came in several lines, as one. Raises Invalid where there may be one line only."""
    together: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in together and name == b"authorization":
            raise Unauthenticated("More than one Authorization header")
        if name in together and name in _ONCE:
            raise Invalid(f"The header `{name.decode('latin-1')}` is given more than once")
        together[name] = together[name] + b", " + value if name in together else value
    return together


@lru_cache(maxsize=256)
def _preferences(prefer: str) -> Mapping[str, str]:
    """https://www.rfc-editor.org/rfc/rfc7240; what is not known is ignored, as it says."""
    found: dict[str, str] = {}
    for part in re.split(r"[,;]", prefer):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
