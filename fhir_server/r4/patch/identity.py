"""
What no patch may change: which resource it is, and what the server says of its versions.

https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from typing import Any

from fhir_server.r4.errors import Issue, Unprocessable
from fhir_server.r4.resource import Resource


def require_identity_kept(before: Resource, after: Resource) -> None:
    """
    Raises Unprocessable unless `resourceType`, `id`, `meta.versionId` and `meta.lastUpdated` are kept.

    Each one that was changed, added or taken away has an issue of its own.
    """
    type = before["resourceType"]
    was, now = _identity(before), _identity(after)
    changed = [f"{type}.{name}" for name in was if was[name] != now[name]]
    if changed:
        raise Unprocessable(
            "A patch may not change what identifies a resource and its version",
            issues=[
                Issue("error", "processing", f"`{expression}` may not be changed by a patch", (expression,))
                for expression in changed
            ],
        )


def _identity(resource: Resource) -> dict[str, Any]:
    meta = resource.get("meta")
    if not isinstance(meta, dict):
        meta = {}
    return {
        "resourceType": resource.get("resourceType"),
        "id": resource.get("id"),
        "meta.versionId": meta.get("versionId"),
        "meta.lastUpdated": meta.get("lastUpdated"),
    }
