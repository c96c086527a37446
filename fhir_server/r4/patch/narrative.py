"""
A narrative must not tell what a patch has changed: https://hl7.org/fhir/R4/http.html#patch.

One that was made from the data goes when the data change and the patch does not bring another:
whoever shows the resource makes it anew. One that says more than the data cannot go without a
loss, so such a patch is refused unless it brings another.
"""

from __future__ import annotations

from typing import Any, Final

from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.resource import Resource

_MADE_FROM_DATA: Final = ("generated", "extensions")
_TELLS_NOTHING: Final = "empty"
_TOLD_BY_NO_NARRATIVE: Final = ("id", "meta", "text")


def without_stale_narrative(before: Resource, after: Resource) -> Resource:
    """
    `after`, which a patch made of `before`, without a narrative that tells of `before` alone.

    Raises Unprocessable when the narrative says more than the data.
    """
    text = after.get("text")
    if not isinstance(text, dict) or text != before.get("text") or _data(before) == _data(after):
        return after
    status = text.get("status")
    if status == _TELLS_NOTHING:
        return after
    if status not in _MADE_FROM_DATA:
        type = after["resourceType"]
        told = f"`{type}.text` says more than the data that the patch changes: patch it, too"
        raise Unprocessable(told, f"{type}.text")
    return {name: value for name, value in after.items() if name != "text"}


def _data(resource: Resource) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in _TOLD_BY_NO_NARRATIVE}
