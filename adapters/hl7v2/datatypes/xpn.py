"""
XPN and XCN: people's names, and references to people who have no resource here.

A clinician becomes a logical reference: the identifier and the name as sent, without a
Practitioner that nobody maintains.

HL7 v2.8, 2.A.86 and 2.A.89; https://hl7.org/fhir/R4/references.html#logical
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cx import EXTENSIONS, identifier_type
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import element, extension, listed, text
from adapters.hl7v2.er7 import Field, Repetition
from adapters.hl7v2.identifiers import system_named, uri_of
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import NAME_TYPE

_FAMILY_PARTS = {
    2: "humanname-own-prefix",
    3: "humanname-own-name",
    4: "humanname-partner-prefix",
    5: "humanname-partner-name",
}


def xpn_to_human_names(names: Iterable[Repetition], reading: Reading, *, use: str = "") -> list[Json]:
    """`use` is for names whose type says none. Who is called by another name has that one, too."""
    found: list[Json] = []
    for xpn in names:
        found += listed(xpn_to_human_name(xpn, reading, use=use))
        found += listed(element(use="nickname", given=_texts(xpn[15])) if xpn[15] else None)
    return found


def xpn_to_human_name(xpn: Repetition, reading: Reading, *, use: str = "") -> Json | None:
    name = element(
        family=xpn[1],
        _family=element(extension=_family_parts(xpn)),
        given=_texts(xpn[2], xpn[3]),
        prefix=_texts(xpn[5]),
        suffix=_texts(xpn[4], xpn[6], xpn[14]),
    )
    if name is None:
        return None
    start, end = xpn[12] or xpn[10, 1], xpn[13] or xpn[10, 2]
    period = element(start=dtm_to_date_time(start, reading), end=dtm_to_date_time(end, reading))
    return element(use=NAME_TYPE.get(xpn[7], use), **name, period=period)


def xcn_to_reference(xcn: Repetition, reading: Reading, *, type: str = "Practitioner") -> Json | None:
    """None when neither a number nor a name is sent."""
    return _person(
        type,
        value=xcn[1],
        authority=(xcn[9, 1], xcn[9, 2], xcn[9, 3], xcn[13]),
        name=(xcn[6], xcn[3], xcn[4], xcn[2], xcn[5]),
        reading=reading,
    )


def cnn_to_reference(cnn: Repetition, reading: Reading, *, type: str = "Practitioner") -> Json | None:
    """CNN, the person in an NDL: an XCN whose authority is spread over three components."""
    return _person(
        type,
        value=cnn[1],
        authority=(cnn[9], cnn[10], cnn[11], ""),
        name=(cnn[6], cnn[3], cnn[4], cnn[2], cnn[5]),
        reading=reading,
    )


def xon_to_reference(xon: Repetition, reading: Reading) -> Json | None:
    """A reference to an Organization by name and number."""
    value, kind = text(xon[10] or xon[3]), text(xon[7])
    system = system_named(text(xon[6, 1]), text(xon[6, 2]), text(xon[6, 3]), kind, reading)
    identifier = element(type=identifier_type(kind), system=system, value=value) if value else None
    return _reference("Organization", identifier=identifier, display=xon[1])


def hd_to_reference(hd: Field | Repetition, type: str) -> Json | None:
    """A reference to an application or facility by its universal id, or by the name it goes by."""
    universal = uri_of(text(hd[2]), text(hd[3]))
    identifier = (
        {"system": "urn:ietf:rfc:3986", "value": universal} if universal else element(value=hd[1] or hd[2])
    )
    return _reference(type, identifier=identifier, display=hd[1])


def _person(
    type: str, *, value: str, authority: tuple[str, str, str, str], name: tuple[str, ...], reading: Reading
) -> Json | None:
    namespace, universal_id, id_type, kind = (text(part) for part in authority)
    number = text(value)
    identifier = (
        element(
            type=identifier_type(kind),
            system=system_named(namespace, universal_id, id_type, kind or "staff", reading),
            value=number,
        )
        if number
        else None
    )
    return _reference(type, identifier=identifier, display=" ".join(part for part in _texts(*name)))


def _reference(type: str, **parts: Any) -> Json | None:
    said = element(**parts)
    return {"type": type, **said} if said else None


def _family_parts(xpn: Repetition) -> list[Json]:
    return listed(
        *(extension(EXTENSIONS + name, valueString=xpn[1, part]) for part, name in _FAMILY_PARTS.items())
    )


def _texts(*values: str) -> list[str]:
    return [said for value in values if (said := text(value))]
