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

from fhir_server.r4.errors import (
    Invalid,
    NotAcceptable,
    TooLarge,
    TooSlow,
    Unauthenticated,
    Unsupported,
    WrongMediaType,
)
from fhir_server.r4.interaction import Content, Handling, Parameters, PatchKind
from fhir_server.r4.media import kind

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

QUERY_CHARACTERS_MAX: Final = 16_384
PARAMETERS_MAX: Final = 200
_ETAG: Final = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"|(\*)')
_JSON: Final = frozenset({"application/fhir+json", "application/json", "text/json", "json"})
_ANY: Final = frozenset({"*/*", "application/*"})
_FHIR_VERSIONS: Final = frozenset({"4.0", "4.0.1"})
_ONCE: Final = frozenset(
    {b"content-encoding", b"content-length", b"content-type", b"host", b"if-match", b"if-modified-since"}
)


_PATCHES: Final[Mapping[str, PatchKind]] = {
    "application/json-patch+json": "json",
    "application/xml-patch+xml": "xml",
}
_SHAPING: Final = frozenset({"_format", "_pretty", "_summary", "_elements"})


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
        self._receive = receive
        self._body_bytes_max = body_bytes_max
        self._body_seconds_max = body_seconds_max

    def header(self, name: str) -> str | None:
        """The value of a header, by its lower-case name."""
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def refuse_header(self, name: str, told: str) -> None:
        """A header that would change the meaning of the request is never ignored."""
        if name.encode() in self._headers:
            raise Unsupported(told)

    @property
    def parameters(self) -> Parameters:
        return pairs(self._query.decode("latin-1")) if self._query else ()

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

    def require_json_accepted(self) -> None:
        """Raises NotAcceptable when the client wants a format that we do not write."""
        if _wants_json(self.parameters):
            return
        accept = self.header("accept")
        if accept is not None and not _accepts_json(accept):
            raise NotAcceptable("Accept names no format that this server writes: application/fhir+json")

    async def content(self) -> bytes:
        """The body of a write. Raises WrongMediaType unless it says that it is JSON."""
        kind, _, rest = (self.header("content-type") or "").partition(";")
        if kind.strip().lower() not in _JSON:
            raise WrongMediaType("The body must be application/fhir+json")
        charset = re.search(r"charset\s*=\s*\"?([\w-]+)", rest)
        if charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
            raise WrongMediaType("The body must be UTF-8")
        return await self._body()

    async def patch(self) -> tuple[PatchKind, Content]:
        """The body of a patch, and its kind. Raises WrongMediaType for anything else."""
        sent = kind(self.header("content-type"))
        patching = _PATCHES.get(sent)
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
        return tuple(pair for pair in self.parameters if pair[0] not in _SHAPING)

    async def form(self) -> Parameters:
        """The parameters in the body of a search by POST."""
        body = await self._body()
        if not body:
            return ()
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise WrongMediaType("The body of a search must be application/x-www-form-urlencoded")
        parameters = pairs(body.decode("latin-1"))
        _wants_json(parameters)
        return parameters

    async def _body(self) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds_max):
                return await self._received()
        except TimeoutError as late:
            raise TooSlow(f"The body was not whole within {self._body_seconds_max:g} seconds") from late

    async def _received(self) -> bytes:
        if self.header("content-encoding") not in (None, "identity"):
            raise WrongMediaType("A compressed body is not supported")
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
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

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


def _wants_json(parameters: Parameters) -> bool:
    """Is there a `_format`? It goes before Accept. Raises NotAcceptable when it is none of ours."""
    wanted = next((value for name, value in parameters if name == "_format"), None)
    if wanted is None:
        return False
    if wanted.partition(";")[0].strip() not in _JSON:
        raise NotAcceptable("`_format` names no format that this server writes; it writes json")
    return True


@lru_cache(maxsize=256)
def _accepts_json(accept: str) -> bool:
    for choice in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in choice.split(";"))
        stated = dict(part.partition("=")[::2] for part in parameters)
        if stated.get("q", "1").strip('"') in ("0", "0.0", "0.00", "0.000"):
            continue
        if stated.get("fhirversion", "4.0").strip('"') not in _FHIR_VERSIONS:
            continue
        if kind in _JSON or kind in _ANY:
            return True
    return False


@lru_cache(maxsize=256)
def _preferences(prefer: str) -> Mapping[str, str]:
    """https://www.rfc-editor.org/rfc/rfc7240; what is not known is ignored, as it says."""
    found: dict[str, str] = {}
    for part in re.split(r"[,;]", prefer):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
