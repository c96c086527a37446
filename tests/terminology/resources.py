"""CodeSystems and ValueSets with the least said, and those that a test knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.r4.errors import Unsupported
from fhir_server.r4.resource import Resource
from terminology.code_system import CodeSystem, code_system_of
from terminology.codes import Codes

S = "http://a.example/s"
T = "http://a.example/t"


def a_code_system(*concepts: Resource, **stated: Any) -> dict[str, Any]:
    """One with all of its concepts."""
    whole = {"status": "active", "content": "complete"}
    return {"resourceType": "CodeSystem", "url": S, **whole, "concept": list(concepts), **stated}


def a_concept(code: str, *under: Resource, **properties: Any) -> dict[str, Any]:
    """A concept with those nested under it; a property is a list of values."""
    found: dict[str, Any] = {"code": code}
    stated = [
        {"code": name, ("valueBoolean" if isinstance(value, bool) else "valueCode"): value}
        for name, values in properties.items()
        for value in values
    ]
    return {
        **found,
        **({"property": stated} if stated else {}),
        **({"concept": list(under)} if under else {}),
    }


def a_value_set(*include: Resource, exclude: tuple[Resource, ...] = (), **stated: Any) -> dict[str, Any]:
    """One that is composed."""
    compose = {"include": list(include), **({"exclude": list(exclude)} if exclude else {})}
    return {"resourceType": "ValueSet", "status": "active", "compose": compose, **stated}


def of_system(*codes: str, system: str = S, **stated: Any) -> dict[str, Any]:
    """An include of some codes, or of what `stated` says."""
    listed = {"concept": [{"code": code} for code in codes]} if codes else {}
    return {"system": system, **listed, **stated}


def a_filter(op: str, value: str, property: str = "concept") -> dict[str, str]:
    return {"property": property, "op": op, "value": value}


@dataclass(frozen=True)
class Shelf:
    """What is known, whole."""

    value_sets: Mapping[str, Codes | Resource] = field(default_factory=dict)
    systems: Mapping[str, Resource] = field(default_factory=dict)
    _read: dict[str, CodeSystem | None] = field(default_factory=dict)

    def value_set(self, canonical: str) -> Codes | Resource:
        if canonical not in self.value_sets:
            raise Unsupported("it is not known")
        return self.value_sets[canonical]

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        resource = self.systems.get(url)
        if resource is None or version not in (None, resource.get("version")):
            return None
        if url not in self._read:
            self._read[url] = code_system_of(resource)
        return self._read[url]
