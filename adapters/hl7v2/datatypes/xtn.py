"""
XTN: telephone numbers and other ways to reach somebody.

HL7 v2.8, 2.A.90; https://hl7.org/fhir/R4/datatypes.html#ContactPoint
"""

from __future__ import annotations

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cx import EXTENSIONS
from adapters.hl7v2.datatypes.dtm import dtm_to_date_time
from adapters.hl7v2.datatypes.element import element, extension, listed, text
from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import TELECOM_SYSTEM, TELECOM_USE

_PARTS = {
    5: "contactpoint-country",
    6: "contactpoint-area",
    7: "contactpoint-local",
    8: "contactpoint-extension",
}


def xtn_to_contact_point(xtn: Repetition, reading: Reading, *, use: str = "") -> Json | None:
    """
    `use` is that of the field, for numbers that state none. None without a number or address.

    Where XTN.3 states no kind, an address is an email and anything else a telephone number:
    the fields it stands in are called so, and FHIR wants a system with each value.
    """
    equipment = text(xtn[3]).upper()
    value = _value(xtn)
    if not value:
        return None
    stated = "mobile" if equipment == "CP" else TELECOM_USE.get(text(xtn[2]).upper())
    electronic = "@" in value or (xtn[4] and not xtn[12])
    rank = text(xtn[18])
    return element(
        extension=listed(
            *(extension(EXTENSIONS + name, valueString=xtn[part]) for part, name in _PARTS.items())
        ),
        system=_system(equipment, value) or ("email" if electronic else "phone"),
        value=value,
        use=stated or use,
        rank=int(rank) if rank.isascii() and rank.isdigit() and 0 < int(rank) < 2**31 else None,
        period=element(start=dtm_to_date_time(xtn[13], reading), end=dtm_to_date_time(xtn[14], reading)),
    )


def _system(equipment: str, value: str) -> str | None:
    if equipment == "INTERNET" and "://" in value:
        return "url"
    return TELECOM_SYSTEM.get(equipment)


def _value(xtn: Repetition) -> str:
    country, area, local, extension_number = (text(xtn[part]) for part in (5, 6, 7, 8))
    if text(xtn[3]).upper() in ("INTERNET", "X.400") and xtn[4]:
        return text(xtn[4])
    if xtn[12]:
        return text(xtn[12])
    if local:
        parts = [f"+{country.removeprefix('+')}" if country else "", area, local]
        parts.append(f"X{extension_number}" if extension_number else "")
        return " ".join(part for part in parts if part)
    return text(xtn[1]) or text(xtn[4])
