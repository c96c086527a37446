"""
Which format a client wants, and which one it sent: content negotiation.

`_format` goes before Accept. In Accept the highest q-value wins; a format that is named with
q=0 is refused even where a wildcard would admit it; between equals the one that is named goes
before the one that a wildcard admits, and then the one that is named first. What says another
fhirVersion than 4.0 is another format.

https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/versioning.html#mt-version,
https://www.rfc-editor.org/rfc/rfc9110#name-accept
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from fhir_server.r4.errors import FhirError, NotAcceptable, WrongMediaType

MEDIA_CHARACTERS_MAX: Final = 1_024


class Format(Enum):
    """The two ways to write a resource."""

    JSON = "json"
    XML = "xml"

    @property
    def media_type(self) -> str:
        """The one that FHIR gives it, without parameters."""
        return f"application/fhir+{self.value}"


def wanted(accept: str | None, format: str | None) -> Format:
    """
    The format of the answer, from the header Accept and the parameter `_format`, decoded.

    Raises NotAcceptable when neither JSON nor XML is wanted.
    """
    if format is not None:
        return _format(_bounded(format, "`_format`", NotAcceptable))
    if accept is not None:
        return _accepted(_bounded(accept, "Accept", NotAcceptable))
    return Format.JSON


def named(accept: str | None, format: Format) -> str:
    """
    What an answer in `format` is called: as FHIR does, or by the generic name, such as
    `application/json`, that Accept has in its place.
    """
    return format.media_type if accept is None else _named(accept[:MEDIA_CHARACTERS_MAX], format)


def given(content_type: str | None) -> Format:
    """
    The format of a body that holds a resource, from the header Content-Type.

    Raises WrongMediaType unless it is JSON or XML of FHIR 4.0 in UTF-8.
    """
    found = _FORMATS.get(kind(content_type))
    if found is None:
        raise WrongMediaType("The body must be application/fhir+json or application/fhir+xml")
    return found


def kind(content_type: str | None) -> str:
    """
    The media type of a body of text, in lower case and without parameters; "" when none is given.

    Raises WrongMediaType when the text is of another charset than UTF-8, or of another FHIR version.
    """
    return _kind(_bounded(content_type or "", "Content-Type", WrongMediaType))


class _Range(NamedTuple):
    """One choice of Accept, or what Content-Type says."""

    kind: str
    parameters: Mapping[str, str]

    @property
    def is_of_this_version(self) -> bool:
        return self.parameters.get("fhirversion", "4.0") in _FHIR_VERSIONS

    @property
    def weight(self) -> int:
        """q in thousandths. One that is not written as the RFC says counts as if it were not there."""
        stated = self.parameters.get("q", "1")
        return round(float(stated) * 1000) if _WEIGHT.fullmatch(stated) else 1000


def _bounded(text: str, name: str, refusal: type[FhirError]) -> str:
    """What is kept in a cache, and searched, is short."""
    if len(text) > MEDIA_CHARACTERS_MAX:
        raise refusal(f"{name} has more than {MEDIA_CHARACTERS_MAX} characters")
    return text


@lru_cache(maxsize=256)
def _format(text: str) -> Format:
    # A + that nobody encoded is a space once the query is decoded.
    said = _range(_UNENCODED.sub("application/fhir+", text))
    found = _FORMATS.get(said.kind)
    if found is None or not said.is_of_this_version:
        raise NotAcceptable("`_format` names no format that this server writes; it writes json and xml")
    return found


@lru_cache(maxsize=256)
def _accepted(accept: str) -> Format:
    named: dict[Format, int] = {}
    wildcards: dict[str, int] = {}
    for choice in _ranges(accept):
        if not choice.is_of_this_version:
            continue
        if choice.kind in _WILDCARDS:
            wildcards.setdefault(choice.kind, choice.weight)
        elif choice.kind in _FORMATS:
            format = _FORMATS[choice.kind]
            named[format] = max(named.get(format, 0), choice.weight)
    otherwise = next((wildcards[wildcard] for wildcard in _WILDCARDS if wildcard in wildcards), 0)
    # The order is that of preference between equals, and max() keeps the first of them.
    weights = named | {format: otherwise for format in Format if format not in named}
    best = max(weights, key=weights.__getitem__)
    if weights[best] == 0:
        raise NotAcceptable(
            "Accept names no format that this server writes: application/fhir+json, application/fhir+xml"
        )
    return best


@lru_cache(maxsize=256)
def _named(accept: str, format: Format) -> str:
    choices = {
        choice.kind: choice.weight
        for choice in reversed(list(_ranges(accept)))
        if _FORMATS.get(choice.kind) is format and "/" in choice.kind and choice.is_of_this_version
    }
    best = max(reversed(choices), key=choices.__getitem__, default=format.media_type)
    return format.media_type if choices.get(format.media_type) or not choices.get(best) else best


@lru_cache(maxsize=256)
def _kind(content_type: str) -> str:
    said = _range(content_type)
    if said.parameters.get("charset", "utf-8").lower() not in _UTF8:
        raise WrongMediaType("The body must be UTF-8")
    if not said.is_of_this_version:
        raise WrongMediaType("The body must be of fhirVersion 4.0")
    return said.kind


def _ranges(accept: str) -> Iterator[_Range]:
    for part in _BETWEEN_COMMAS.findall(accept):
        yield _range(part)


def _range(text: str) -> _Range:
    kind, *parameters = (part.strip() for part in _BETWEEN_SEMICOLONS.findall(text) or [""])
    # Of a parameter that is given twice the first counts.
    said = (parameter.partition("=")[::2] for parameter in reversed(parameters))
    return _Range(kind.lower(), {name.strip().lower(): value.strip(' \t"') for name, value in said})


_FORMATS: Final[Mapping[str, Format]] = {
    name: format
    for format in Format
    for name in (
        format.media_type,
        f"application/{format.value}",
        f"text/{format.value}",
        format.value,
    )
}
# The more specific one first.
_WILDCARDS: Final = ("application/*", "*/*")
_FHIR_VERSIONS: Final = frozenset({"4.0", "4.0.1"})
_UTF8: Final = frozenset({"utf-8", "utf8"})
_WEIGHT: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_UNENCODED: Final = re.compile(r"^\s*application/fhir (?=json|xml)", re.IGNORECASE)
# A quote that is never closed quotes nothing.
_BETWEEN_COMMAS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,])+')
_BETWEEN_SEMICOLONS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^;])+')
