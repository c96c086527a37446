"""
Patient and Coverage, and a Consent for those who gave one.

https://hl7.org/fhir/us/core/StructureDefinition-us-core-patient.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fhir_server.population.chart import Chart
from fhir_server.population.dice import Dice, Weighted
from fhir_server.population.directory import Directory
from fhir_server.population.names import Name
from fhir_server.population.person import Person
from fhir_server.population.places import address, phone
from fhir_server.population.vocabulary import (
    EXAMPLE,
    HL7,
    LOINC,
    US_CORE,
    Element,
    age,
    coding,
    concept,
    hl7,
    moment,
    years_after,
)

RACE_SYSTEM: Final = "urn:oid:2.16.840.1.113883.6.238"
RACES: Final = {
    "2106-3": "White",
    "2054-5": "Black or African American",
    "2028-9": "Asian",
    "1002-5": "American Indian or Alaska Native",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
}
HISPANIC: Final = coding(RACE_SYSTEM, "2135-2", "Hispanic or Latino")
NOT_HISPANIC: Final = coding(RACE_SYSTEM, "2186-5", "Not Hispanic or Latino")
MARITAL: Final = {
    "M": hl7("v3-MaritalStatus", "M", "Married"),
    "S": hl7("v3-MaritalStatus", "S", "Never Married"),
    "D": hl7("v3-MaritalStatus", "D", "Divorced"),
    "W": hl7("v3-MaritalStatus", "W", "Widowed"),
}
MARITAL_BY_AGE: Final = (
    (30, Weighted([("S", 75), ("M", 24), ("D", 1)])),
    (60, Weighted([("M", 62), ("S", 22), ("D", 15), ("W", 1)])),
    (200, Weighted([("M", 50), ("W", 30), ("D", 14), ("S", 6)])),
)
RECORD_NUMBER: Final = concept(coding(HL7 + "v2-0203", "MR", "Medical record number"))
SOCIAL_SECURITY: Final = concept(coding(HL7 + "v2-0203", "SS", "Social Security number"))
EMERGENCY_CONTACT: Final = hl7("v2-0131", "C", "Emergency Contact")
REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
SELF: Final = hl7("subscriber-relationship", "self", "Self")
GROUP: Final = hl7("coverage-class", "group", "Group")
PLAN: Final = hl7("coverage-class", "plan", "Plan")
EMPLOYER_POLICY: Final = hl7("v3-ActCode", "EHCPOL", "employee healthcare")
PUBLIC_POLICY: Final = hl7("v3-ActCode", "PUBLICPOL", "public healthcare")


def add_patient(chart: Chart, person: Person, dice: Dice) -> None:
    city = person.facility.city
    chart.add(
        "Patient",
        {
            "extension": _extensions(person),
            "identifier": [
                {
                    "use": "usual",
                    "type": RECORD_NUMBER,
                    "system": f"{EXAMPLE}mrn/{city.name.lower().replace(' ', '-')}",
                    "value": f"{dice.digits(8)}",
                    "assigner": person.facility.reference,
                },
                {
                    "use": "official",
                    "type": SOCIAL_SECURITY,
                    "system": "http://hl7.org/fhir/sid/us-ssn",
                    # Numbers that begin with 9 are not given to anybody.
                    "value": f"9{dice.digits(2)}-{dice.digits(2)}-{dice.digits(4)}",
                },
            ],
            "active": person.died is None,
            "name": _names(person),
            "telecom": [
                {"system": "phone", "value": phone(dice, city), "use": dice.pick(("home", "mobile"))},
                {"system": "email", "value": f"patient.{person.number}@mail.example.org"},
            ],
            "gender": person.sex,
            "birthDate": person.born.isoformat(),
            **({"deceasedDateTime": moment(person.died, dice.between(0, 1439))} if person.died else {}),
            "address": [address(dice, city)],
            "maritalStatus": _marital_status(person, dice),
            **({"multipleBirthInteger": dice.between(1, 2)} if dice.chance(0.03) else {}),
            "contact": [_contact(person, dice)],
            "communication": [{"language": _language(person), "preferred": True}],
            "generalPractitioner": [person.clinician.reference],
            "managingOrganization": person.facility.reference,
        },
    )


def add_coverage(chart: Chart, person: Person, directory: Directory, dice: Dice) -> None:
    public = age(person.born, person.until) >= 65 or dice.chance(0.2)
    payer = directory.payers[-1] if public else dice.pick(directory.payers[:-1])
    start = max(person.born, years_after(person.record_from, -1)).replace(day=1, month=1)
    chart.add(
        "Coverage",
        {
            "identifier": [{"system": f"{EXAMPLE}member-id", "value": f"M{dice.digits(9)}"}],
            "status": "active" if person.died is None else "cancelled",
            "type": PUBLIC_POLICY if public else EMPLOYER_POLICY,
            "subscriber": chart.subject,
            "subscriberId": f"S{dice.digits(9)}",
            "beneficiary": chart.subject,
            "relationship": SELF,
            "period": {"start": start.isoformat()}
            | ({"end": person.died.isoformat()} if person.died else {}),
            "payor": [payer],
            "class": [
                {"type": GROUP, "value": f"G{dice.digits(5)}", "name": "Members of the region"},
                {"type": PLAN, "value": dice.pick(("bronze", "silver", "gold")), "name": "Plan"},
            ],
        },
    )


def add_consent(chart: Chart, person: Person, dice: Dice) -> None:
    """What the patient wants to happen with the record as a whole: share it, or not."""
    start = person.record_from + timedelta(days=dice.between(0, 90))
    chart.add(
        "Consent",
        {
            "status": "active",
            "scope": hl7("consentscope", "patient-privacy", "Privacy Consent"),
            "category": [concept(coding(LOINC, "59284-0", "Consent Document"))],
            "patient": chart.subject,
            "dateTime": moment(start, dice.between(480, 1000)),
            "performer": [chart.subject],
            "organization": [person.facility.reference],
            "policyRule": hl7("v3-ActCode", "OPTOUT" if (deny := dice.chance(0.4)) else "OPTIN"),
            "provision": {
                "type": "deny" if deny else "permit",
                "period": {"start": start.isoformat(), "end": years_after(start, 20).isoformat()},
            },
        },
    )


def _extensions(person: Person) -> list[Element]:
    race = RACES[person.race]
    ethnicity = HISPANIC if person.culture.hispanic else NOT_HISPANIC
    return [
        {
            "url": f"{US_CORE}StructureDefinition/us-core-race",
            "extension": [
                {"url": "ombCategory", "valueCoding": coding(RACE_SYSTEM, person.race, race)},
                {"url": "text", "valueString": race},
            ],
        },
        {
            "url": f"{US_CORE}StructureDefinition/us-core-ethnicity",
            "extension": [
                {"url": "ombCategory", "valueCoding": ethnicity},
                {"url": "text", "valueString": ethnicity["display"]},
            ],
        },
        {
            "url": f"{US_CORE}StructureDefinition/us-core-birthsex",
            "valueCode": "F" if person.sex == "female" else "M",
        },
    ]


def _names(person: Person) -> list[Element]:
    latin = {"use": "official", "family": person.family[0], "given": [person.given[0], person.middle[0]]}
    if person.given == person.middle:
        latin["given"] = [person.given[0]]
    return [latin, _own_script(person)] if person.given[1] else [latin]


def _own_script(person: Person) -> Element:
    """The name as its owner writes it; in the east of Asia, the family comes first."""
    family, given = person.family[1], person.given[1]
    gap = "" if person.culture.ideographic else " "
    return {
        "extension": [{"url": REPRESENTATION, "valueCode": "IDE" if person.culture.ideographic else "ABC"}],
        "use": "usual",
        "text": f"{family}{gap}{given}" if person.culture.family_first else f"{given} {family}",
        "family": family,
        "given": [given],
    }


def _marital_status(person: Person, dice: Dice) -> Element:
    years = age(person.born, person.until)
    if years < 18:
        return MARITAL["S"]
    return MARITAL[dice.weighted(next(table for limit, table in MARITAL_BY_AGE if years < limit))]


def _contact(person: Person, dice: Dice) -> Element:
    sex = dice.pick(("female", "male"))
    given: Name = dice.pick(person.culture.given[sex])
    return {
        "relationship": [EMERGENCY_CONTACT],
        "name": {"family": person.family[0], "given": [given[0]]},
        "telecom": [{"system": "phone", "value": phone(dice, person.facility.city)}],
        "gender": sex,
    }


def _language(person: Person) -> Element:
    return concept(coding("urn:ietf:bcp:47", person.culture.language, person.culture.language_name))
