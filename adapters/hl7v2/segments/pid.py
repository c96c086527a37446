"""
PID: the Patient.

Which field becomes which element is HL7's PID[Patient] map; where it leaves a choice:

* an identifier makes way for those of the same system, others stay;
* PID-5 replaces all names but nicknames, PID-9 the nicknames; PID-13 replaces the telecoms that
  are not for work, PID-14 those that are, and PID-40 all;
* race and ethnicity become US Core's extensions when the codes are CDC's, and nothing otherwise.

HL7 v2.8, 3.4.2; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pid-to-patient.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from adapters.fhir_json import Json, Resource
from adapters.hl7v2.datatypes.cwe import cwe_to_codeable_concept, cwe_to_text
from adapters.hl7v2.datatypes.cx import EXTENSIONS, cx_to_identifier, cx_to_token, identifier_type
from adapters.hl7v2.datatypes.dtm import dtm_to_date, dtm_to_date_time, dtm_to_instant
from adapters.hl7v2.datatypes.element import element, extension, listed, text
from adapters.hl7v2.datatypes.xad import xad_to_address
from adapters.hl7v2.datatypes.xpn import xpn_to_human_names
from adapters.hl7v2.datatypes.xtn import xtn_to_contact_point
from adapters.hl7v2.er7 import Field, Repetition, Segment
from adapters.hl7v2.identifiers import Token, own_system
from adapters.hl7v2.reading import Reading, Rejection
from adapters.hl7v2.statement import DELETED, Listed, Statement
from adapters.hl7v2.tables import ADMINISTRATIVE_SEX, ETHNICITY, MARITAL_STATUS, RACE, YES_NO

US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
CDC_RACE_AND_ETHNICITY: Final = "urn:oid:2.16.840.1.113883.6.238"
_CDC_CODE: Final = re.compile(r"\d{4}-\d", re.ASCII)


def deciding_identifier(pid: Segment, reading: Reading) -> Token:
    """The identifier that says who this is. Raises Rejection when there is none."""
    sent = [cx for number in (3, 2, 4) for cx in pid[number] if cx_to_token(cx, reading) is not None]
    for kind in reading.sender.deciding:
        for cx in sent:
            if text(cx[5]) == kind:
                return _token(cx, reading)
    if not sent:
        raise Rejection("101", f"PID^{pid.place}^3", "The patient has no identifier")
    return _token(sent[0], reading)


def patient(pid: Segment, reading: Reading, present: Resource | None) -> Statement:
    """Whether there was a Patient bears on how their death is said only."""
    statement: Statement = {"resourceType": "Patient", "identifier": _identifiers(pid, reading)}
    if names := _names(pid, reading):
        statement["name"] = names
    if telecom := _telecom(pid, reading):
        statement["telecom"] = telecom
    reading.state(statement, "gender", pid[8], ADMINISTRATIVE_SEX.get(pid[8][1].strip().upper()))
    _birth(statement, pid, reading)
    _death(statement, pid, reading, present)
    reading.state(statement, "address", pid[11], _addresses(pid, reading))
    marital_status = _concept(pid[16], reading, "0002", MARITAL_STATUS)
    reading.state(statement, "maritalStatus", pid[16], marital_status)
    language = _concept(pid[15], reading, "0296")
    reading.state(statement, "communication", pid[15], [{"language": language}] if language else [])
    if extensions := _extensions(pid, reading):
        statement["extension"] = extensions
    return statement


def _token(cx: Repetition, reading: Reading) -> Token:
    token = cx_to_token(cx, reading)
    assert token is not None, "chosen for having one"
    return token


def _identifiers(pid: Segment, reading: Reading) -> Listed:
    entries = listed(
        *(cx_to_identifier(cx, reading) for number in (3, 2, 4) for cx in pid[number]),
        _social_security(pid, reading),
        _drivers_license(pid, reading),
    )
    systems = {entry["system"] for entry in entries}
    if pid[19].null:
        systems.add(reading.sender.ssn_system)
    if pid[20].null:
        systems.add(own_system(reading, "DL"))
    return Listed(_each_once(entries), lambda present: present.get("system") in systems)


def _each_once(entries: Iterable[Json]) -> list[Json]:
    """PID-2 and PID-4 of older versions often repeat a number of PID-3 with less said about it."""
    found: dict[tuple[str, str], Json] = {}
    for entry in entries:
        found.setdefault((entry["system"], entry["value"]), entry)
    return list(found.values())


def _social_security(pid: Segment, reading: Reading) -> Json | None:
    value = text(pid[19][1])
    return (
        element(type=identifier_type("SS"), system=reading.sender.ssn_system, value=value) if value else None
    )


def _drivers_license(pid: Segment, reading: Reading) -> Json | None:
    license = pid[20]
    if not text(license[1]):
        return None
    return element(
        type=identifier_type("DL"),
        system=own_system(reading, "DL"),
        value=license[1],
        period=element(end=dtm_to_date(license[3])),
        assigner=element(display=license[2]),
    )


def _names(pid: Segment, reading: Reading) -> Listed | None:
    names, aliases = pid[5], pid[9]
    entries = xpn_to_human_names(names, reading) + xpn_to_human_names(aliases, reading, use="nickname")
    replaces = _either(
        (lambda present: present.get("use") != "nickname", names.valued or names.null),
        (lambda present: present.get("use") == "nickname", aliases.valued or aliases.null),
    )
    return Listed(entries, replaces) if replaces else None


def _telecom(pid: Segment, reading: Reading) -> Listed | None:
    home, work, all_of_them = pid[13], pid[14], pid[40]
    entries = listed(
        *(xtn_to_contact_point(xtn, reading, use="home") for xtn in home),
        *(xtn_to_contact_point(xtn, reading, use="work") for xtn in work),
        *(xtn_to_contact_point(xtn, reading) for xtn in all_of_them),
    )
    at_work = any(entry.get("use") == "work" for entry in entries)
    replaces = _either(
        (lambda present: present.get("use") != "work", home.valued or home.null),
        (lambda present: present.get("use") == "work", work.valued or work.null or at_work),
        (lambda _: True, all_of_them.valued or all_of_them.null),
    )
    return Listed(entries, replaces) if replaces else None


def _either(*rules: tuple[Callable[[Resource], bool], bool]) -> Callable[[Resource], bool] | None:
    """What is replaced by the rules that apply; None when the message says nothing at all."""
    applying = [rule for rule, applies in rules if applies]
    return (lambda present: any(rule(present) for rule in applying)) if applying else None


def _birth(statement: Statement, pid: Segment, reading: Reading) -> None:
    born = pid[7]
    reading.state(statement, "birthDate", born, dtm_to_date(born[1]))
    if "birthDate" in statement:
        moment = extension(f"{EXTENSIONS}patient-birthTime", valueDateTime=dtm_to_instant(born[1], reading))
        statement["_birthDate"] = {"extension": [moment]} if moment else DELETED
    several, order = pid[24], pid[25]
    if order.valued and order[1].isdecimal():
        statement |= {"multipleBirthInteger": int(order[1]), "multipleBirthBoolean": DELETED}
    elif several.valued or several.null:
        reading.state(statement, "multipleBirthBoolean", several, YES_NO.get(several[1].upper()))
        statement["multipleBirthInteger"] = DELETED


def _death(statement: Statement, pid: Segment, reading: Reading, present: Resource | None) -> None:
    when, dead = pid[29], pid[30]
    moment = dtm_to_date_time(when[1], reading)
    reading.state(statement, "deceasedDateTime", when, moment)
    said = YES_NO.get(dead[1].upper())
    if moment:
        statement["deceasedBoolean"] = DELETED
    elif said is True and "deceasedDateTime" in (present or {}) and not when.null:
        return  # When they died is known already, and says that they did.
    else:
        reading.state(statement, "deceasedBoolean", dead, said)
        if "deceasedBoolean" in statement:
            statement["deceasedDateTime"] = DELETED


def _addresses(pid: Segment, reading: Reading) -> list[Json]:
    addresses = listed(*(xad_to_address(xad, reading) for xad in pid[11]))
    county = text(pid[12].whole)
    if county and len(addresses) == 1 and "district" not in addresses[0]:
        return [{**addresses[0], "district": county}]
    reading.expect_nothing(pid[12])
    return addresses


def _extensions(pid: Segment, reading: Reading) -> Listed | None:
    stated: Statement = {}
    for url, said, value in _extended(pid, reading):
        reading.state(stated, url, said, value)
    if not stated:
        return None
    entries = [entry for value in stated.values() for entry in value or ()]
    return Listed(entries, lambda present: present.get("url") in stated)


def _extended(pid: Segment, reading: Reading) -> Iterator[tuple[str, Field, list[Json]]]:
    """Address, field and extensions, for all that Patient has no element for."""
    maiden_name = pid[6].first
    yield _simple("patient-mothersMaidenName", pid[6], valueString=maiden_name[1] if maiden_name else "")
    yield _simple("patient-religion", pid[17], valueCodeableConcept=_concept(pid[17], reading, "0006"))
    birth_place = text(pid[23].whole)
    yield _simple("patient-birthPlace", pid[23], valueAddress=element(text=birth_place))
    for name, said in (("patient-citizenship", pid[26]), ("patient-nationality", pid[28])):
        concepts = [cwe_to_codeable_concept(cwe, reading, table="0171") for cwe in said]
        url = EXTENSIONS + name
        yield url, said, [_coded(url, concept) for concept in concepts if concept]
    for name, said, categories in (("race", pid[10], RACE), ("ethnicity", pid[22], ETHNICITY)):
        yield US_CORE + name, said, listed(_us_core(US_CORE + name, said, categories))


def _simple(name: str, said: Field, **value: object) -> tuple[str, Field, list[Json]]:
    url = EXTENSIONS + name
    return url, said, listed(extension(url, **value))


def _coded(url: str, concept: Json) -> Json:
    return {"url": url, "extension": [{"url": "code", "valueCodeableConcept": concept}]}


def _us_core(url: str, said: Field, categories: frozenset[str]) -> Json | None:
    """http://hl7.org/fhir/us/core/StructureDefinition/us-core-race.html"""
    codes = [cwe for cwe in said if _CDC_CODE.fullmatch(cwe[1])]
    if not codes:
        return None
    parts = [
        {
            "url": "ombCategory" if cwe[1] in categories else "detailed",
            "valueCoding": element(system=CDC_RACE_AND_ETHNICITY, code=cwe[1], display=cwe[2]),
        }
        for cwe in codes
    ]
    shown = ", ".join(cwe_to_text(cwe) for cwe in said)
    return {"url": url, "extension": [*parts, {"url": "text", "valueString": shown}]}


def _concept(
    said: Field, reading: Reading, table: str, meanings: dict[str, tuple[str, str, str]] | None = None
) -> Json | None:
    first = said.first
    return cwe_to_codeable_concept(first, reading, table=table, meanings=meanings) if first else None
