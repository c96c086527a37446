"""
Contained resources: dom-2 to dom-5, and ids that lead to one resource each.

https://hl7.org/fhir/R4/references.html#contained
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.r4.validation.scope import Path, Scope


def contained_types(container: Mapping[str, Any]) -> dict[str, str]:
    """The type of each contained resource by its id, empty where it has none."""
    contained = container.get("contained")
    if not isinstance(contained, list):
        return {}
    return {
        resource["id"]: resource["resourceType"] if isinstance(resource.get("resourceType"), str) else ""
        for resource in contained
        if isinstance(resource, dict) and isinstance(resource.get("id"), str)
    }


def judge_contained(resource: Mapping[str, Any], path: Path, scope: Scope) -> None:
    """What a contained resource must not have, as it can never stand alone."""
    if "contained" in resource:
        scope.report("invariant", (path, "contained", None), "must not be in a contained resource (dom-2)")
    meta = resource.get("meta")
    if isinstance(meta, dict):
        for name, key in (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")):
            if name in meta:
                inside: Path = ((path, "meta", None), name, None)
                scope.report("invariant", inside, f"must not be in a contained resource ({key})")
    id = id_of(resource)
    if id is not None and any(id == other for _, other, _ in scope.anchors):
        scope.report("value", (path, "id", None), "must not be the id of two contained resources")


def id_of(resource: Mapping[str, Any]) -> str | None:
    """Its id; None if there is none, or if what stands there is not one."""
    id = resource.get("id")
    return id if isinstance(id, str) else None


def judge_anchors(scope: Scope) -> None:
    """dom-3: each contained resource is referred to, or refers to its container."""
    for path, id, to_container in scope.anchors:
        if not to_container and id not in scope.local:
            scope.report(
                "invariant", path, "must be referred to, or refer to the resource that contains it (dom-3)"
            )
