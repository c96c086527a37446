"""
The text of a reference, taken apart.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fhir_server.r4.definitions import definitions


class Target(NamedTuple):
    """`Patient/1/_history/2`: type, id, version, and `base` where the reference is absolute."""

    base: str
    type: str
    id: str
    version: str | None

    def __str__(self) -> str:
        """Without the version: `Patient/1`, or `https://example.org/fhir/Patient/1`."""
        return f"{self.base}/{self.type}/{self.id}" if self.base else f"{self.type}/{self.id}"


def target_of(reference: str) -> Target | None:
    """What a RESTful reference points to; None for a urn, a fragment or any other uri."""
    base, _, id = reference.rpartition("/")
    version = None
    if base.endswith("/_history"):
        version = id
        base, _, id = base.removesuffix("/_history").rpartition("/")
    base, _, type = base.rpartition("/")
    if type not in definitions().resource_types or not id:
        return None
    return Target(base, type, id, version)


def type_of(reference: Any) -> str | None:
    """The type of resource that a Reference points to: by its text, else by `Reference.type`."""
    if isinstance(reference, str):
        target = target_of(reference)
        return target.type if target else None
    text = reference.get("reference")
    if isinstance(text, str) and (target := target_of(text)):
        return target.type
    declared = reference.get("type")
    if isinstance(declared, str):
        declared = declared.rpartition("/")[2]
    return declared if declared in definitions().resource_types else None
