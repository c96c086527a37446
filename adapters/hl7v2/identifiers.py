"""
Who and what is meant: identifier systems, and the ids of resources made from them.

An assigning authority with a universal id is a URI anywhere (`urn:oid:`, `urn:uuid:`, or the URI
itself). One with a name alone means something only to its sender, so it becomes
`<base>/sid/<sending facility>/<name>`; an identifier without an authority is the sender's own,
`<base>/sid/<sending facility>/<type>`. The sender's agreement can say better.

Resource ids are derived from what identifies the resource, so two messages about one thing
meet in one place without asking each other, and a message read twice says the same.

HL7 v2.8, 2.A.33 (HD) and table 0301.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from uuid import UUID, uuid5

from adapters.hl7v2.er7 import Repetition
from adapters.hl7v2.reading import Reading

NAMESPACE: Final = UUID("4f6a1c52-7d0e-5a53-9a64-0b8a3a8f3f0e")
"""Written down once: with another, no resource made before would be recognised."""

KNOWN_OIDS: Final = {
    "2.16.840.1.113883.4.1": "http://hl7.org/fhir/sid/us-ssn",
    "2.16.840.1.113883.4.6": "http://hl7.org/fhir/sid/us-npi",
    "2.16.840.1.113883.4.572": "http://hl7.org/fhir/sid/us-medicare",
}
"""https://hl7.org/fhir/R4/identifier-registry.html"""

KNOWN_NAMES: Final = {
    ("USSSA", "SS"): "http://hl7.org/fhir/sid/us-ssn",
    ("SSA", "SS"): "http://hl7.org/fhir/sid/us-ssn",
    ("NPI", "NPI"): "http://hl7.org/fhir/sid/us-npi",
}
"""Authority and type together: a name alone proves too little."""

_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){2,}", re.ASCII)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """An identifier as it is searched by."""

    system: str
    value: str

    @property
    def query(self) -> str:
        return f"{_searchable(self.system)}|{_searchable(self.value)}"


def resource_id(resource_type: str, *parts: str) -> str:
    """The id of the resource that `parts` identify."""
    return str(uuid5(NAMESPACE, json.dumps([resource_type, *parts])))


def system_of(authority: Repetition, kind: str, reading: Reading) -> str:
    """The system of an identifier whose assigning authority (HD) is this; `kind` is its type code."""
    return system_named(authority[1], authority[2], authority[3], kind, reading)


def system_named(namespace: str, universal_id: str, id_type: str, kind: str, reading: Reading) -> str:
    agreed = reading.sender.systems
    for name in (universal_id, namespace):
        if name and name in agreed:
            return agreed[name]
    known = uri_of(universal_id, id_type) or KNOWN_NAMES.get((namespace, kind))
    return known or own_system(reading, namespace or universal_id or kind or "id")


def own_system(reading: Reading, *names: str) -> str:
    """A system that is the sender's alone, under our base."""
    return "/".join((reading.base, "sid", *(quote(name, safe="") for name in (reading.header.place, *names))))


def uri_of(universal_id: str, id_type: str) -> str | None:
    """The URI of a universal id; None when its type, or its form, gives it none."""
    kind = id_type.upper()
    if kind in ("ISO", "") and _OID.fullmatch(universal_id):
        return KNOWN_OIDS.get(universal_id, f"urn:oid:{universal_id}")
    if kind in ("UUID", "GUID"):
        try:
            return f"urn:uuid:{UUID(universal_id)}"
        except ValueError:
            return None
    if kind == "URI" and _URI.fullmatch(universal_id):
        return universal_id
    return None


def _searchable(text: str) -> str:
    """https://hl7.org/fhir/R4/search.html#escaping"""
    return re.sub(r"([\\$,|])", r"\\\1", text)
