"""
Codes and how they are written down: CodeableConcepts, Quantities, moments.

What is made here is shared between resources and never changed.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from fhir_server.r4.resource import Literal

Element = dict[str, Any]

SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10: Final = "http://hl7.org/fhir/sid/icd-10-cm"
CVX: Final = "http://hl7.org/fhir/sid/cvx"
UCUM: Final = "http://unitsofmeasure.org"
HL7: Final = "http://terminology.hl7.org/CodeSystem/"
US_CORE: Final = "http://hl7.org/fhir/us/core/"
EXAMPLE: Final = "http://synthetic.example.org/"

MINUTES_A_DAY: Final = 24 * 60


def coding(system: str, code: str, display: str = "") -> Element:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(*codings: Element, text: str = "") -> Element:
    """The text is the first display unless it is given."""
    text = text or codings[0].get("display", "")
    return {"coding": list(codings)} | ({"text": text} if text else {})


def hl7(system: str, code: str, display: str = "") -> Element:
    """A concept from one of HL7's own code systems, by the last part of its URL."""
    return {"coding": [coding(HL7 + system, code, display)]}


def snomed(code: str, display: str) -> Element:
    return concept(coding(SNOMED, code, display))


def loinc(code: str, display: str) -> Element:
    return concept(coding(LOINC, code, display))


def decimal(value: float, places: int) -> Literal | int:
    """The value as it is written at this precision: 7.0 with one place is `7.0`."""
    return Literal(f"{value:.{places}f}".encode()) if places else round(value)


def quantity(value: Literal | int, unit: str, code: str) -> Element:
    return {"value": value, "unit": unit, "system": UCUM, "code": code}


def moment(day: date, minutes: int) -> str:
    """An instant on the east coast of the United States, `minutes` after midnight; the next day too."""
    if minutes >= MINUTES_A_DAY:
        day, minutes = day + timedelta(days=minutes // MINUTES_A_DAY), minutes % MINUTES_A_DAY
    # April to October is summer time there from the first day to the last.
    offset = "-04:00" if 4 <= day.month <= 10 else "-05:00"
    return f"{day.isoformat()}T{minutes // 60:02}:{minutes % 60:02}:00{offset}"


def years_after(day: date, years: int) -> date:
    """The same day, other year; the 28th for a 29th of February that the year has not."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def age(birth: date, day: date) -> float:
    """In years."""
    return (day - birth) / timedelta(days=365.2425)
