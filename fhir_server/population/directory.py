"""
Who looks after people, and where: the same for every population, under ids that never change.

So patients of different seeds can be loaded side by side, and each refers to a Practitioner that is
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhir_server.population.dice import Dice
from fhir_server.population.names import CULTURES
from fhir_server.population.places import CITIES, City, address, phone
from fhir_server.population.vocabulary import SNOMED, Element, coding, concept, hl7

PAYERS: Final = (
    "Granite Mutual Health Plan",
    "Harbor Community Insurance",
    "Northeast Employers Trust",
    "Public Health Coverage Program",
)
SPECIALTIES: Final = (
    ("family", coding(SNOMED, "419772000", "Family practice"), "207Q00000X", "Family Medicine"),
    ("internal", coding(SNOMED, "419192003", "Internal medicine"), "207R00000X", "Internal Medicine"),
    ("pediatrics", coding(SNOMED, "394537008", "Pediatric specialty"), "208000000X", "Pediatrics"),
    ("cardiology", coding(SNOMED, "394579002", "Cardiology"), "207RC0000X", "Cardiovascular Disease"),
    ("emergency", coding(SNOMED, "773568002", "Emergency medicine"), "207P00000X", "Emergency Medicine"),
    ("surgery", coding(SNOMED, "394609007", "General surgery"), "208600000X", "Surgery"),
)
PROVIDER_TAXONOMY: Final = "http://nucc.org/provider-taxonomy"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"


@dataclass(frozen=True, slots=True)
class Clinician:
    id: str
    name: str
    reference: Element


@dataclass(frozen=True, slots=True)
class Facility:
    """A hospital with its clinic; clinicians by specialty."""

    city: City
    name: str
    reference: Element
    clinic: Element
    ward: Element
    clinicians: dict[str, Clinician]


@dataclass(frozen=True, slots=True)
class Directory:
    facilities: tuple[Facility, ...]
    payers: tuple[Element, ...]
    laboratory: Element
    resources: tuple[Element, ...]


def directory() -> Directory:
    dice = Dice("directory")
    resources: list[Element] = []
    payers = tuple(
        _organization(dice, resources, f"synthetic-payer-{number}", name, "ins", "Insurance Company")
        for number, name in enumerate(PAYERS, 1)
    )
    laboratory = _organization(
        dice,
        resources,
        "synthetic-laboratory",
        "Bay State Reference Laboratory",
        "prov",
        "Healthcare Provider",
    )
    facilities = tuple(_facility(dice, resources, number, city) for number, city in enumerate(CITIES, 1))
    return Directory(facilities, payers, laboratory, tuple(resources))


def _facility(dice: Dice, resources: list[Element], number: int, city: City) -> Facility:
    name = f"{city.name} General Hospital"
    hospital = _organization(
        dice, resources, f"synthetic-hospital-{number}", name, "prov", "Healthcare Provider", city
    )
    clinic = _location(dice, resources, f"synthetic-clinic-{number}", f"{name} Clinic", "OF", hospital, city)
    ward = _location(dice, resources, f"synthetic-ward-{number}", f"{name} Ward 1", "HU", hospital, city)
    clinicians = {
        specialty[0]: _clinician(dice, resources, f"{number}-{index}", specialty, hospital, clinic, city)
        for index, specialty in enumerate(SPECIALTIES, 1)
    }
    return Facility(city, name, hospital, clinic, ward, clinicians)


def _organization(
    dice: Dice, resources: list[Element], id: str, name: str, type: str, display: str, city: City = CITIES[0]
) -> Element:
    resources.append(
        {
            "resourceType": "Organization",
            "id": id,
            "identifier": [{"system": NPI, "value": _npi(dice)}],
            "active": True,
            "type": [hl7("organization-type", type, display)],
            "name": name,
            "telecom": [{"system": "phone", "value": phone(dice, city), "use": "work"}],
            "address": [_work_address(dice, city)],
        }
    )
    return {"reference": f"Organization/{id}", "display": name}


def _location(
    dice: Dice, resources: list[Element], id: str, name: str, type: str, hospital: Element, city: City
) -> Element:
    resources.append(
        {
            "resourceType": "Location",
            "id": id,
            "status": "active",
            "name": name,
            "mode": "instance",
            "type": [hl7("v3-RoleCode", type)],
            "telecom": [{"system": "phone", "value": phone(dice, city), "use": "work"}],
            "address": _work_address(dice, city),
            "managingOrganization": hospital,
        }
    )
    return {"reference": f"Location/{id}", "display": name}


def _clinician(
    dice: Dice,
    resources: list[Element],
    number: str,
    specialty: tuple[str, Element, str, str],
    hospital: Element,
    clinic: Element,
    city: City,
) -> Clinician:
    _, code, taxonomy, title = specialty
    sex = "female" if dice.chance(0.5) else "male"
    culture = dice.weighted(CULTURES)
    given, family = dice.pick(culture.given[sex])[0], dice.pick(culture.families[sex])[0]
    name = f"Dr. {given} {family}"
    practitioner = {"reference": f"Practitioner/synthetic-practitioner-{number}", "display": name}
    contact = [{"system": "phone", "value": phone(dice, city), "use": "work"}]
    resources += [
        {
            "resourceType": "Practitioner",
            "id": f"synthetic-practitioner-{number}",
            "identifier": [{"system": NPI, "value": _npi(dice)}],
            "active": True,
            "name": [{"use": "official", "family": family, "given": [given], "prefix": ["Dr."]}],
            "telecom": contact,
            "address": [_work_address(dice, city)],
            "gender": sex,
            "qualification": [{"code": hl7("v2-0360", "MD", "Doctor of Medicine")}],
        },
        {
            "resourceType": "PractitionerRole",
            "id": f"synthetic-role-{number}",
            "active": True,
            "practitioner": practitioner,
            "organization": hospital,
            "code": [concept(coding(PROVIDER_TAXONOMY, taxonomy, title))],
            "specialty": [concept(code)],
            "location": [clinic],
            "telecom": contact,
        },
    ]
    return Clinician(f"synthetic-practitioner-{number}", name, practitioner)


def _work_address(dice: Dice, city: City) -> Element:
    return {**address(dice, city), "use": "work"}


def _npi(dice: Dice) -> str:
    """Ten digits with the check digit of a National Provider Identifier; those with 9 are never issued."""
    digits = "9" + dice.digits(8)
    # Luhn's sum over 80840 and the nine digits; every second digit from the right counts twice.
    total = 24 + sum(
        sum(divmod(2 * int(digit), 10)) if place % 2 == 0 else int(digit)
        for place, digit in enumerate(reversed(digits))
    )
    return digits + str(-total % 10)
