"""
A resource is the client's JSON: parsed to be judged, never rebuilt.

Numbers that are not plain integers are kept as the literal the client wrote (`Literal`), so
`1.50` leaves as `1.50`; everything else is what `json` makes of it. What JSON leaves open and
FHIR does not want (duplicate keys, control characters, lone surrogates, absurd numbers and
depths) is refused here, before anybody looks at the content.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from fhir_server.r4.errors import Invalid

Resource = Mapping[str, Any]
"""One resource as JSON: str, int, bool, `Literal`, list and dict. Read-only by type."""

Literal = msgspec.Raw
"""A JSON number with a fraction, an exponent, a sign on zero or more digits than 64 bits hold."""

DEPTH_MAX: Final = 64
EXPONENT_MAX: Final = 400
NUMBER_CHARACTERS_MAX: Final = 128


class Key(msgspec.Struct, frozen=True):
    """The logical identity of a resource: `Patient/1`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}/{self.id}"


def from_text(text: bytes) -> dict[str, Any]:
    """
    The resource written in `text` (UTF-8 JSON).

    Raises Invalid when it is not one JSON object, or holds a duplicate key, a control
    character, a lone surrogate, a number or a depth out of bounds.
    """
    value = json_value(text)
    if not isinstance(value, dict):
        raise Invalid("The body is not a JSON object")
    return value


def json_value(text: bytes) -> Any:
    """As `from_text`, for JSON that need not be an object."""
    try:
        value = _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid("The body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Invalid(
            f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from error
    except RecursionError as error:
        raise Invalid(f"The body is nested deeper than {DEPTH_MAX} levels") from error
    if text.count(b"{") + text.count(b"[") > DEPTH_MAX and is_deeper(value, DEPTH_MAX):
        raise Invalid(f"The body is nested deeper than {DEPTH_MAX} levels")
    if has_suspect_escapes(text):
        require_characters(value)
    return value


def value_at(text: str, index: int) -> tuple[Any, int]:
    """
    The JSON value that begins at `index` of `text`, and where it ends.

    Raises what `from_text` does of a number or a key, ValueError where there is no value; depth and
    characters are asked of `is_deeper` and `require_characters`.
    """
    return _DECODER.raw_decode(text, index)


def to_text(resource: object) -> bytes:
    """Compact JSON, each literal as it was written."""
    return msgspec.json.encode(resource)


def number(value: int | Literal) -> Decimal:
    """The value of a JSON number; what was accepted by `from_text` is bounded."""
    return Decimal(value) if isinstance(value, int) else Decimal(bytes(value).decode())


def is_deeper(value: Any, levels: int) -> bool:
    """Are there more objects and arrays within each other than `levels`?"""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return bool(level)


def _literal(text: str) -> Literal:
    if len(text) > NUMBER_CHARACTERS_MAX:
        raise Invalid(f"A number has more than {NUMBER_CHARACTERS_MAX} characters")
    exponent = _EXPONENT.search(text)
    if exponent and (len(exponent[1]) > 5 or abs(int(exponent[1])) > EXPONENT_MAX):
        raise Invalid(f"A number has an exponent beyond {EXPONENT_MAX}")
    return Literal(text.encode())


def _integer(text: str) -> int | Literal:
    if len(text) > 18 or text == "-0":
        return _literal(text)
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        # Half of a surrogate pair may be escaped in a key: no answer could be written with it.
        shown = twice[:64].encode("utf-8", "replace").decode()
        raise Invalid(f"The key `{shown}` stands twice in one object")
    return members


def _constant(text: str) -> Any:
    raise Invalid(f"`{text}` is not a JSON number")


def has_suspect_escapes(text: bytes) -> bool:
    """May an escape in this JSON text stand for a character that `require_characters` refuses?"""
    return _SUSPECT_ESCAPE.search(text) is not None


def require_characters(value: Any) -> None:
    """
    Raises Invalid for what escapes can write and plain JSON text may not.

    That is control characters and half characters.
    """
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise Invalid("A string holds a control character or a lone surrogate")
    elif isinstance(value, dict):
        for name, child in value.items():
            require_characters(name)
            require_characters(child)
    elif isinstance(value, list):
        for child in value:
            require_characters(child)


_EXPONENT = re.compile(r"[eE]([+-]?\d+)$")
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:00[01]|[dD][89a-fA-F])|\\[bf]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_DECODER = json.JSONDecoder(
    parse_float=_literal,
    parse_int=_integer,
    parse_constant=_constant,
    object_pairs_hook=_object,
)
