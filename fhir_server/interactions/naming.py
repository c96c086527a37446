"""Patients as the person who chooses among them sees them: https://hl7.org/fhir/R4/patient.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNNAMED = "without a name"


def name_of(person: Mapping[str, Any]) -> str:
    """The name that a person goes by, in one line: the official one before others, and none that is old."""
    names = [one for one in person.get("name", ()) if one.get("use") != "old"]
    if not names:
        return UNNAMED
    chosen = next((one for one in names if one.get("use") == "official"), names[0])
    if "text" in chosen:
        return str(chosen["text"])
    parts = [*chosen.get("given", ()), *([chosen["family"]] if "family" in chosen else [])]
    return " ".join(str(part) for part in parts if part) or UNNAMED


def identifier_of(person: Mapping[str, Any]) -> str:
    """The number that people in a hospital know a patient by: the medical record number, else the first."""
    found = [one for one in person.get("identifier", ()) if "value" in one]
    for one in found:
        if any(coding.get("code") == "MR" for coding in one.get("type", {}).get("coding", ())):
            return str(one["value"])
    return str(found[0]["value"]) if found else ""
