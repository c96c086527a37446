"""
The mark of a resource that is not whole.

https://hl7.org/fhir/R4/valueset-common-tags.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SUBSETTED: Final[Mapping[str, str]] = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}


def tagged(meta: Mapping[str, Any]) -> dict[str, Any]:
    """`meta` with the tag, once."""
    tags = meta.get("tag", ())
    if any(tag.get("code") == SUBSETTED["code"] and tag.get("system") == SUBSETTED["system"] for tag in tags):
        return dict(meta)
    return {**meta, "tag": [*tags, SUBSETTED]}
