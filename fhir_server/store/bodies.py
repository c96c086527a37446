"""
Large texts, kept beside their versions.

A text beyond `inline_bytes_max` is a document of its own in `bodies`, named by key and version
number; the version says its `size` instead. So whoever filters, sorts or shares a round trip with
such a version does not carry its text along. It is written with its version and never changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.store.database import Collection
from fhir_server.store.documents import Document, history_id, key_of


def set_aside(fields: Document, inline_bytes_max: int) -> Document | None:
    """Takes a large text out of `fields`; the document that it becomes."""
    body = fields.get("body")
    if body is None or len(body) <= inline_bytes_max:
        return None
    del fields["body"]
    fields["size"] = len(body)
    return {"_id": _id(fields), "body": body}


def is_aside(fields: Document) -> bool:
    """Was the text set aside, and not yet put back?"""
    return "size" in fields and "body" not in fields


async def put_back(
    bodies: Collection, found: Iterable[Document], session: AsyncClientSession | None = None
) -> None:
    """Completes the documents whose text was set aside, one at a time."""
    for fields in found:
        if is_aside(fields):
            kept = await bodies.find_one({"_id": _id(fields)}, session=session)
            assert kept is not None, "a text is written with its version"
            fields["body"] = kept["body"]


def _id(fields: Document) -> str:
    return history_id(key_of(fields), fields["n"])
