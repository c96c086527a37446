"""
R4's primitive types: is this JSON value one of them?

`PRIMITIVES` has a check for each of the 20 types. A check answers None, or the `Problem`:
first whether the JSON type is right, then the format, then what a pattern cannot say (30
February, 2^31). Problems never repeat the value, which may be patient data.

https://hl7.org/fhir/R4/datatypes.html#primitive, https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.r4.base64binary import is_base64
from fhir_server.r4.narrative import narrative_fault
from fhir_server.r4.resource import Literal

STRING_BYTES_MAX: Final = 1_048_576
INTEGER_MAX: Final = 2_147_483_647


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is of https://hl7.org/fhir/R4/valueset-issue-type.html; `text` completes "`path` ..."."""

    code: str
    text: str


Check = Callable[[object], Problem | None]

_YEAR: Final = "(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_MONTH: Final = "(?:0[1-9]|1[0-2])"
_DAY: Final = "(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE: Final = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_DATE: Final = re.compile(f"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?")
_DATE_TIME: Final = re.compile(f"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_ZONE})?)?)?")
_INSTANT: Final = re.compile(f"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}")
_TIME: Final = re.compile(_CLOCK)
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# Whitespace is XML's, as in R4's patterns: R4's own code systems have codes with a no-break space.
_CODE: Final = re.compile("[^\x00-\x20]+(?: [^\x00-\x20]+)*")
_URI: Final = re.compile("[^\x00-\x20]+")
_OID: Final = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID: Final = re.compile("urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")

_NOT_STRING: Final = Problem("structure", "must be a JSON string")
_NOT_BOOLEAN: Final = Problem("structure", "must be true or false, without quotes")
_NOT_NUMBER: Final = Problem("structure", "must be a JSON number")
_NOT_INTEGER: Final = Problem("value", "must be an integer: no fraction, no exponent, 32 bits")
_EMPTY: Final = Problem("value", "must not be empty")
_CONTROL_CHARACTER: Final = Problem("value", "must not hold control characters")
_TOO_LONG: Final = Problem("too-long", f"must not be longer than {STRING_BYTES_MAX} bytes")
_NO_SUCH_DAY: Final = Problem("value", "must be a day of the calendar")


def is_id(text: str) -> bool:
    """Can `text` be the logical id of a resource?"""
    return _ID.fullmatch(text) is not None


def is_uri(text: str) -> bool:
    """R4 asks of a URI only that it is not empty and has no whitespace."""
    return _URI.fullmatch(text) is not None


def _boolean(value: object) -> Problem | None:
    return None if value is True or value is False else _NOT_BOOLEAN


def _decimal(value: object) -> Problem | None:
    # Whatever JSON accepts as a number is a decimal; what is absurd was refused when it was read.
    if isinstance(value, Literal) or (isinstance(value, int) and not isinstance(value, bool)):
        return None
    return _NOT_NUMBER


def _integer(lowest: int, range_text: str) -> Check:
    out_of_range = Problem("value", f"must be {range_text}")

    def check(value: object) -> Problem | None:
        if isinstance(value, int) and not isinstance(value, bool):
            return None if lowest <= value <= INTEGER_MAX else out_of_range
        return _NOT_INTEGER if isinstance(value, Literal) else _NOT_NUMBER

    return check


def _string(value: object) -> Problem | None:
    if not isinstance(value, str):
        return _NOT_STRING
    if not value:
        return _EMPTY
    if not value.isprintable() and _CONTROL.search(value):
        return _CONTROL_CHARACTER
    # A character has four bytes at most: nearly no string has to be encoded to be measured.
    if len(value) * 4 > STRING_BYTES_MAX and len(value.encode()) > STRING_BYTES_MAX:
        return _TOO_LONG
    return None


def _formatted(pattern: re.Pattern[str], expected: str) -> Check:
    problem = Problem("value", f"must be {expected}")

    def check(value: object) -> Problem | None:
        if not isinstance(value, str):
            return _NOT_STRING
        return None if pattern.fullmatch(value) else problem

    return check


def _dated(pattern: re.Pattern[str], expected: str) -> Check:
    problem = Problem("value", f"must be {expected}")

    def check(value: object) -> Problem | None:
        if not isinstance(value, str):
            return _NOT_STRING
        if not pattern.fullmatch(value):
            return problem
        if value[8:10] > "28" and int(value[8:10]) > monthrange(int(value[:4]), int(value[5:7]))[1]:
            return _NO_SUCH_DAY
        return None

    return check


def _base64(value: object) -> Problem | None:
    if not isinstance(value, str):
        return _NOT_STRING
    if is_base64(value):
        return None
    return Problem("value", "must be base64 with padding") if value.strip() else _EMPTY


def _xhtml(value: object) -> Problem | None:
    if not isinstance(value, str):
        return _NOT_STRING
    fault = narrative_fault(value)
    return Problem("value", fault) if fault else None


_uri = _formatted(_URI, "a URI, without whitespace")

PRIMITIVES: Final[Mapping[str, Check]] = {
    "base64Binary": _base64,
    "boolean": _boolean,
    "canonical": _uri,
    "code": _formatted(_CODE, "a code: no whitespace but single spaces inside"),
    "date": _dated(_DATE, "a date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": _dated(
        _DATE_TIME, "a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone"
    ),
    "decimal": _decimal,
    "id": _formatted(_ID, "an id: 1 to 64 of A-Z, a-z, 0-9, `-` and `.`"),
    "instant": _dated(_INSTANT, "an instant: YYYY-MM-DDThh:mm:ss with a time zone"),
    "integer": _integer(-INTEGER_MAX - 1, "within 32 bits"),
    "markdown": _string,
    "oid": _formatted(_OID, "an OID: urn:oid:1.2.3"),
    "positiveInt": _integer(1, f"from 1 to {INTEGER_MAX}"),
    "string": _string,
    "time": _formatted(_TIME, "a time: hh:mm:ss without a time zone"),
    "unsignedInt": _integer(0, f"from 0 to {INTEGER_MAX}"),
    "uri": _uri,
    "url": _uri,
    "uuid": _formatted(_UUID, "a UUID in lower case: urn:uuid:..."),
    "xhtml": _xhtml,
}
