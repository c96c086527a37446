"""
PL: where a patient is, as a logical reference to a Location: its parts, from facility to bed.

HL7 v2.8, 2.A.53; https://hl7.org/fhir/R4/references.html#logical
"""

from __future__ import annotations

from adapters.fhir_json import Json
from adapters.hl7v2.datatypes.cx import ei_to_identifier
from adapters.hl7v2.datatypes.element import element, text
from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.identifiers import own_system
from adapters.hl7v2.reading import Reading

_WIDE_TO_NARROW = (4, 7, 8, 1, 2, 3)
"""Facility, building, floor, point of care, room, bed."""


def pl_to_reference(pl: Repetition, reading: Reading) -> Json | None:
    """None when no part is sent."""
    parts = [part for number in _WIDE_TO_NARROW if (part := text(pl[number] or pl[number, 2]))]
    sent = ei_to_identifier(pl.inner(10), reading)
    own = {"system": own_system(reading, "location"), "value": "/".join(parts)} if parts else None
    said = element(identifier=sent or own, display=pl[9] or ", ".join(reversed(parts)))
    return {"type": "Location", **said} if said else None
