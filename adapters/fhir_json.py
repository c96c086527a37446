"""
FHIR's JSON on the adapters' side: a decimal is the text it was written as.

FHIR requires the precision of a decimal to be kept, and a float cannot: 1.50 is a `Number`,
from the laboratory's message to the server and back.

https://hl7.org/fhir/R4/json.html#decimal
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]
"""A FHIR element or resource that is being built: str, int, bool, `Number`, list and dict."""

Resource = Mapping[str, Any]
"""A resource as it came from, or goes to, a FHIR server."""


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number that is not a plain integer, as written."""

    text: str

    def __post_init__(self) -> None:
        if not _NUMBER.fullmatch(self.text):
            raise ValueError("Not a JSON number")


def parse(text: bytes) -> Any:
    """Raises ValueError when `text` is not JSON in UTF-8."""
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("Nested too deeply") from error


def render(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return "".join(_written(value)).encode("utf-8")


def _written(value: Any) -> Iterator[str]:
    match value:
        case Number(text=text):
            yield text
        case dict():
            separator = "{"
            for name, child in value.items():
                yield f"{separator}{_string(name)}:"
                yield from _written(child)
                separator = ","
            yield "{}" if separator == "{" else "}"
        case list() | tuple():
            separator = "["
            for child in value:
                yield separator
                yield from _written(child)
                separator = ","
            yield "[]" if separator == "[" else "]"
        case str():
            yield _string(value)
        case _:
            yield json.dumps(value)


def _integer(text: str) -> int | Number:
    return Number(text) if text == "-0" else int(text)


_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_DECODER: Final = json.JSONDecoder(parse_float=Number, parse_int=_integer)
_string = json.JSONEncoder(ensure_ascii=False).encode
