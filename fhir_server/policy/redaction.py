"""
What is taken out of a resource before it leaves.

A Group is in the compartment of each of its members, but only as far as that member: a
confined caller sees the Group without the others.

https://hl7.org/fhir/R4/group.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fhir_server.policy.context import Right
from fhir_server.r4.resource import Resource, from_text, to_text
from fhir_server.search.predicate import OfPatients, Or, Predicate
from fhir_server.search.version import Version

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def redacted(version: Version, right: Right) -> Version:
    """`version` with what this right does not reach taken out."""
    if version.key.type != "Group" or not right.confined or version.body is None:
        return version
    visible = frozenset(f"Patient/{id}" for id in _patients(right.predicate))
    return replace(version, body=to_text(_group_of(from_text(version.body), visible)))


def _group_of(group: Resource, visible: frozenset[str]) -> Resource:
    told: dict[str, Any] = {name: value for name, value in group.items() if name not in ("quantity", "text")}
    members = [
        member for member in group.get("member", ()) if member.get("entity", {}).get("reference") in visible
    ]
    told.pop("member", None)
    if members:
        told["member"] = members
    meta = dict(group["meta"])
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    told["meta"] = meta
    return told


def _patients(predicate: Predicate) -> Iterator[str]:
    match predicate:
        case OfPatients(ids=ids):
            yield from ids
        case Or(parts=parts):
            for part in parts:
                yield from _patients(part)
        case _:
            return
