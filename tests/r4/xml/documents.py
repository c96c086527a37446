"""Documents for the tests of XML: what is inside a Patient, and how a JSON value is compared."""

from __future__ import annotations

from typing import Any

from fhir_server.r4.resource import Literal

FHIR = 'xmlns="http://hl7.org/fhir"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def patient(inside: str) -> bytes:
    return f"<Patient {FHIR}>{inside}</Patient>".encode()


def narrative(div: str) -> str:
    return f'<text><status value="generated"/>{div}</text>'


def exact(value: Any) -> Any:
    """Equal only for the same value in the same type and digits: 1 is not true, 1.0 is not 1.00."""
    if isinstance(value, dict):
        return {name: exact(child) for name, child in value.items()}
    if isinstance(value, list):
        return [exact(child) for child in value]
    return (type(value), bytes(value) if isinstance(value, Literal) else value)
