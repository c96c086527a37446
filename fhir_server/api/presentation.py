"""
How an answer looks on the wire: JSON or XML, in one line or indented, packed or not.

Answers are made as compact JSON, which is how resources are stored; most leave as they are. What
is large is turned into XML or packed without holding up other requests: a page entry by entry,
a resource in a thread.

https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#parameters
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from msgspec import Raw
from msgspec.json import Decoder
from msgspec.json import format as indented

from fhir_server.api.encoding import packed, prefers_gzip
from fhir_server.api.response import FHIR_JSON, FHIR_XML, Response, refuse
from fhir_server.r4.errors import FhirError, Invalid
from fhir_server.r4.media import Format, named
from fhir_server.r4.media import wanted as format_of
from fhir_server.r4.resource import Resource, from_text, to_text
from fhir_server.r4.xml import to_xml

PACKED_FROM_BYTES: Final = 1_024
"""Less than this fits into one packet anyway."""

AT_ONCE_BYTES_MAX: Final = 64 << 10
"""What is larger is worked on where it does not hold up others."""

ENTRIES_AT_ONCE: Final = 8
ACCEPT_ENCODING_CHARACTERS_MAX: Final = 256

_CONTENT_TYPES: Final = {Format.JSON: FHIR_JSON, Format.XML: FHIR_XML}
_MEMBERS: Final = Decoder(dict[str, Raw])
_ITEMS: Final = Decoder(list[Raw])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client wants its answer to look like; `content_type` where it is not what FHIR calls it."""

    format: Format = Format.JSON
    pretty: bool = False
    gzip: bool = False
    content_type: bytes | None = None


PLAIN: Final = Wanted()


@lru_cache(maxsize=256)
def wanted(
    accept: bytes | None, accept_encoding: bytes | None, format: str | None, pretty: str | None
) -> Wanted:
    """
    What the headers Accept and Accept-Encoding and the parameters `_format` and `_pretty` say.

    Raises NotAcceptable for a format that this server does not write, Invalid for a `_pretty`
    that is neither `true` nor `false`.
    """
    if pretty not in (None, "true", "false"):
        raise Invalid("`_pretty` is `true` or `false`")
    coding = (accept_encoding or b"").decode("latin-1")
    ranges = None if accept is None else accept.decode("latin-1")
    chosen = format_of(ranges, format)
    name = named(ranges, chosen)
    return Wanted(
        chosen,
        pretty == "true",
        # Nobody has to be able to unpack: a header that is too long is not read.
        len(coding) <= ACCEPT_ENCODING_CHARACTERS_MAX and prefers_gzip(coding),
        None if name == chosen.media_type else f"{name}; charset=utf-8".encode(),
    )


async def presented(response: Response, wanted: Wanted, method: str) -> Response:
    """
    The same answer as the client wants it.

    The answer to a HEAD is not packed: it says so of what GET would answer, without a length.
    """
    if not response.body:
        return response
    if response.content_type is FHIR_JSON and (wanted.pretty or wanted.format is Format.XML):
        response = await _written(response, wanted, method)
    if wanted.content_type is not None and response.content_type is _CONTENT_TYPES[wanted.format]:
        response = replace(response, content_type=wanted.content_type)
    if wanted.gzip and len(response.body) >= PACKED_FROM_BYTES:
        body = response.body if method == "HEAD" else await _packed(response.body)
        return replace(response, body=body, content_encoding=b"gzip")
    return response


async def _written(response: Response, wanted: Wanted, method: str) -> Response:
    if wanted.format is Format.JSON:
        return replace(response, body=indented(response.body, indent=2))
    try:
        body = await _xml(response, pretty=wanted.pretty)
    except FhirError as refusal:
        # JSON has characters that XML has not. What was done is done: its answer, and that of a
        # refusal, is told in JSON rather than not at all.
        readable = method in _SAFE and response.status < 400
        return refuse(refusal) if readable else response
    return replace(response, body=body, content_type=FHIR_XML)


async def _xml(response: Response, *, pretty: bool) -> bytes:
    if len(response.body) <= AT_ONCE_BYTES_MAX:
        return to_xml(from_text(response.body), pretty=pretty)
    if response.is_page:
        return await _page(response.body, pretty=pretty)
    return await asyncio.to_thread(lambda: to_xml(from_text(response.body), pretty=pretty))


async def _page(body: bytes, *, pretty: bool) -> bytes:
    """A Bundle of ours, whose entries come last in JSON and XML: entry by entry, with turns for others."""
    around = _MEMBERS.decode(body)
    entries = _ITEMS.decode(around.pop("entry", Raw(b"[]")))
    head, end = _opened(from_text(to_text(around)), pretty=pretty)
    parts = [head]
    for number, entry in enumerate(entries):
        if number % ENTRIES_AT_ONCE == ENTRIES_AT_ONCE - 1:
            await asyncio.sleep(0)
        bundle = {"resourceType": "Bundle", "entry": [from_text(bytes(entry))]}
        whole, _ = _opened(bundle, pretty=pretty)
        parts.append(whole[whole.index(b">", whole.index(b"<Bundle")) + 1 :])
    return b"".join((*parts, end))


def _opened(bundle: Resource, *, pretty: bool) -> tuple[bytes, bytes]:
    """A Bundle in XML up to its end tag, and the end tag."""
    text = to_xml(bundle, pretty=pretty)
    end = len(text.removesuffix(b"\n").removesuffix(b"</Bundle>").removesuffix(b"\n"))
    return text[:end], text[end:]


async def _packed(body: bytes) -> bytes:
    return packed(body) if len(body) <= AT_ONCE_BYTES_MAX else await asyncio.to_thread(packed, body)


_SAFE: Final = frozenset(("GET", "HEAD"))
