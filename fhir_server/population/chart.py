"""
One patient's resources while they come into being, and how they refer to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.population.dice import Dice
from fhir_server.population.vocabulary import Element

Refer = Callable[[str, str], str]
"""What a reference to a resource of this patient is written as, given its type and id."""


def by_urn(_type: str, id: str) -> str:
    """In a transaction: by the fullUrl of its entry."""
    return f"urn:uuid:{id}"


def by_id(type: str, id: str) -> str:
    """Where resources stand on their own."""
    return f"{type}/{id}"


class Chart:
    """`subject` refers to the Patient, which is the first resource."""

    def __init__(self, dice: Dice, refer: Refer) -> None:
        # One random part for the patient, then a number: unique, cheap, and shaped as UUIDs of version 4 are.
        head, tail = dice.hexadecimal(12), dice.hexadecimal(6)
        variant = "89ab"[dice.between(0, 3)]
        self._prefix = f"{head[:8]}-{head[8:]}-4{tail[:3]}-{variant}{tail[3:]}-"
        self._refer = refer
        self.resources: list[Element] = []
        self.subject: Element = {"reference": refer("Patient", f"{self._prefix}{0:012x}")}

    def add(self, type: str, elements: Mapping[str, Any]) -> Element:
        """A resource with the next id; the reference to it."""
        id = f"{self._prefix}{len(self.resources):012x}"
        self.resources.append({"resourceType": type, "id": id, **elements})
        return {"reference": self._refer(type, id)}
