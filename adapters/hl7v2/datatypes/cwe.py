"""
CWE, CE, CNE, CF, IS and ID: codes, with the coding that was sent always kept.

A code of an HL7 table gets FHIR's coding first, where there is one, and its own beside it. The
coding system is found by the sender's agreement, table 0396, the OID in CWE.14, or, when it is
local, under our base.

HL7 v2.8, 2.A.13; https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.element import element, text
from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.identifiers import own_system, uri_of
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.tables import CODE_SYSTEMS, V2, Meaning

_TRIPLETS: Final = ((1, 2, 3, 7, 14), (4, 5, 6, 8, 17), (10, 11, 12, 13, 20))
"""Where CWE has code, display, system, version and the system's OID, three times."""

_HL7_TABLE: Final = re.compile(r"HL7(\d{4})", re.ASCII)
_URI: Final = re.compile(r"(?:https?|urn):\S+", re.ASCII)


def cwe_to_codeable_concept(
    cwe: Repetition, reading: Reading, *, table: str = "", meanings: Mapping[str, Meaning] | None = None
) -> Json | None:
    """
    `table` is the HL7 table that a code without a system is of; `meanings` are FHIR's codings of it.
    """
    sent = list(_codings(cwe, reading, table))
    translated = [
        {"system": meaning[0], "code": meaning[1], "display": meaning[2]}
        for coding in sent
        if meanings and _is_of(coding, table) and (meaning := meanings.get(coding.get("code", "")))
    ]
    said = cwe[9] or ("" if any("code" in coding for coding in sent) else cwe[2] or cwe[5])
    coded = [coding for coding in sent if "code" in coding]
    return element(coding=translated + [coding for coding in coded if coding not in translated], text=said)


def cwe_to_coding(cwe: Repetition, reading: Reading, *, table: str = "") -> Json | None:
    """The first coding."""
    return next((coding for coding in _codings(cwe, reading, table) if "code" in coding), None)


def cwe_to_text(cwe: Repetition) -> str:
    """What a person would read."""
    return text(cwe[9] or cwe[2] or cwe[1] or cwe[5] or cwe[4])


def key_of(cwe: Repetition, reading: Reading) -> str:
    """What tells this concept from another: its first code with the system, or its text."""
    for coding in _codings(cwe, reading, ""):
        if "code" in coding:
            return f"{coding.get('system', '')}|{coding['code']}"
    return cwe_to_text(cwe).casefold()


def code_system(name: str, oid: str, reading: Reading, *, table: str = "") -> str:
    """The URI of a coding system; empty when the message names none."""
    if not name:
        return (uri_of(oid, "ISO") or "") if oid else (f"{V2}{table}" if table else "")
    if name in reading.sender.code_systems:
        return reading.sender.code_systems[name]
    if numbered := _HL7_TABLE.fullmatch(name):
        return f"{V2}{numbered[1]}"
    known = CODE_SYSTEMS.get(name.upper()) or uri_of(oid, "ISO") or uri_of(name, "ISO")
    if known or _URI.fullmatch(name):
        return known or name
    return own_system(reading, "codes", name)


def _codings(cwe: Repetition, reading: Reading, table: str) -> Iterator[Json]:
    for position, (code, display, system, version, oid) in enumerate(_TRIPLETS):
        value = " ".join(text(cwe[code]).split())
        local = table if position == 0 else ""
        coding = element(
            system=code_system(text(cwe[system]), text(cwe[oid]), reading, table=local) if value else "",
            version=cwe[version] if value else "",
            code=value,
            display=cwe[display],
        )
        if coding:
            yield coding


def _is_of(coding: Json, table: str) -> bool:
    return coding.get("system", "") in ("", f"{V2}{table}")
