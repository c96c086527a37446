"""
$meta-delete: take profiles, tags and security labels off a resource.

A tag or label is known by its system and code. What is not there is not missed.

https://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from __future__ import annotations

from fhir_server.operations.meta import LISTS, Column, column, identity, with_columns
from fhir_server.r4.resource import Resource


def with_deleted(resource: Resource, meta: Resource) -> Resource:
    """The resource without what `meta` lists; itself when none of that is there."""
    present = resource.get("meta", {})
    changed: dict[str, Column] = {}
    for name in LISTS:
        unwanted = {identity(one) for one in meta.get(name, ())}
        own = column(present, name)
        left = [pair for pair in own if pair[0] is None or identity(pair[0]) not in unwanted]
        if len(left) < len(own):
            changed[name] = left
    return with_columns(resource, changed) if changed else resource
