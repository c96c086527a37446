"""
CX and EI: identifiers, each in the system that `identifiers` gives its authority.

HL7 v2.8, 2.A.14 and 2.A.28; https://hl7.org/fhir/R4/datatypes.html#Identifier
"""

from __future__ import annotations

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.dtm import dtm_to_date
from adapters.hl7v2.datatypes.element import element, extension, listed, text
from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.identifiers import Token, system_named, system_of, uri_of
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import V2

EXTENSIONS = "http://hl7.org/fhir/StructureDefinition/"


def cx_to_identifier(cx: Repetition, reading: Reading, *, kind: str = "") -> Json | None:
    """`kind` is the type where CX.5 says none (table 0203). None without an id."""
    token = cx_to_token(cx, reading, kind=kind)
    if token is None:
        return None
    code = text(cx[5]) or kind
    return element(
        extension=listed(
            extension(f"{EXTENSIONS}identifier-checkDigit", valueString=cx[2]),
            extension(f"{EXTENSIONS}namingsystem-checkDigit", valueString=cx[3]),
        ),
        type=identifier_type(code),
        system=token.system,
        value=token.value,
        period=element(start=dtm_to_date(cx[7]), end=dtm_to_date(cx[8])),
        assigner=element(display=cx[4] or cx[6]),
    )


def cx_to_token(cx: Repetition, reading: Reading, *, kind: str = "") -> Token | None:
    """What the identifier is found by; None without an id."""
    value = text(cx[1])
    return Token(system_of(cx.inner(4), text(cx[5]) or kind, reading), value) if value else None


def ei_to_identifier(ei: Repetition, reading: Reading, *, kind: str = "") -> Json | None:
    token = ei_to_token(ei, reading, kind=kind)
    if token is None:
        return None
    return element(
        type=identifier_type(kind), system=token.system, value=token.value, assigner=element(display=ei[2])
    )


def ei_to_token(ei: Repetition, reading: Reading, *, kind: str = "") -> Token | None:
    """An EI without an id of its own may still be a universal id: then that is the identifier."""
    value = text(ei[1])
    if value:
        return Token(system_named(text(ei[2]), text(ei[3]), text(ei[4]), kind, reading), value)
    universal = uri_of(text(ei[3]), text(ei[4]))
    return Token("urn:ietf:rfc:3986", universal) if universal else None


def identifier_type(code: str) -> Json | None:
    return {"coding": [{"system": f"{V2}0203", "code": code}]} if code else None
