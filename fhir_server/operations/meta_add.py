"""
$meta-add: put profiles, tags and security labels on a resource.

What is there already is not put there twice.

https://hl7.org/fhir/R4/resource-operation-meta-add.html
"""

from __future__ import annotations

from fhir_server.operations.meta import LISTS, Column, column, identity, with_columns
from fhir_server.r4.resource import Resource


def with_added(resource: Resource, meta: Resource) -> Resource:
    """The resource with what `meta` lists added to its own; itself when nothing is new."""
    present = resource.get("meta", {})
    changed: dict[str, Column] = {}
    for name in LISTS:
        own = column(present, name)
        known = {identity(one) for one, _ in own}
        new = {identity(one): one for one in meta.get(name, ()) if identity(one) not in known}
        if new:
            changed[name] = [*own, *((one, None) for one in new.values())]
    return with_columns(resource, changed) if changed else resource
