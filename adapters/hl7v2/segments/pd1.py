"""
PD1: who else looks after the Patient.

HL7 v2.8, 3.4.10; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pd1-to-patient.html
"""

from __future__ import annotations

from adapters.hl7v2.datatypes.element import listed
from adapters.hl7v2.datatypes.xpn import xcn_to_reference, xon_to_reference
from adapters.hl7v2.er7 import Segment
from adapters.hl7v2.reading import Reading
from adapters.hl7v2.statement import Listed, Statement


def general_practitioners(statement: Statement, pd1: Segment, reading: Reading) -> None:
    """PD1-3 replaces the organizations, PD1-4 the practitioners."""
    facilities, doctors = pd1[3], pd1[4]
    entries = listed(
        *(xon_to_reference(xon, reading) for xon in facilities),
        *(xcn_to_reference(xcn, reading) for xcn in doctors),
    )
    types = {
        type
        for type, field in (("Organization", facilities), ("Practitioner", doctors))
        if field.valued or field.null
    }
    if types:
        statement["generalPractitioner"] = Listed(entries, lambda present: present.get("type") in types)
