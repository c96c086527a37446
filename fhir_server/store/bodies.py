"""
Large texts, kept beside their versions.

A text beyond `inline_bytes_max` is put into documents of its own in `bodies`; the version says its
`size` instead. So whoever filters, sorts or shares a round trip with such a version does not carry
its text along, and a text may be larger than a document of MongoDB can be: it is cut into parts of
`body_part_bytes_max`. The first part is named by key and version number, `Type/id/0000000007`, the
others below it: `Type/id/0000000007/001`. They are written in the transaction of their version and
never change. What else has no room in a version is kept the same way (overflow.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.store.database import Collection
from fhir_server.store.documents import Document, history_id, key_of
from fhir_server.store.limits import StoreLimits
from fhir_server.store.overflow import is_overflowing, set_aside_entry, whole

PART_DIGITS: Final = 3


def set_aside(fields: Document, limits: StoreLimits) -> list[Document]:
    """Takes out of `fields` what is too large for them; the documents that it becomes."""
    name = _name(fields)
    return [
        *_set_aside_text(fields, name, limits),
        *set_aside_entry(fields, name, limits),
    ]


def is_aside(fields: Document) -> bool:
    """Was something set aside, and not yet put back?"""
    return _lacks_text(fields) or is_overflowing(fields)


def without_text(found: Iterable[Document]) -> None:
    """For who judges versions by their entries: those that are alive have an empty text."""
    for fields in found:
        if fields["m"] != "DELETE":
            fields["body"] = b""


async def put_back(
    bodies: Collection,
    found: Iterable[Document],
    session: AsyncClientSession | None = None,
    *,
    tokens: bool = True,
) -> None:
    """
    Completes the documents of which something was set aside, one at a time.

    Without `tokens` only the patients are completed, for documents that were read without theirs.
    """
    for fields in found:
        if is_aside(fields):
            await _put_back(bodies, fields, session, tokens=tokens)


async def _put_back(
    bodies: Collection, fields: Document, session: AsyncClientSession | None, *, tokens: bool
) -> None:
    texts: list[bytes] = []
    others: list[Document] = []
    async for part in bodies.find(_wanted(fields, tokens=tokens), sort=[("_id", 1)], session=session):
        if "body" in part:
            texts.append(part["body"])
        else:
            others.append(part)
    if _lacks_text(fields):
        fields["body"] = b"".join(texts)
        assert len(fields["body"]) == fields["size"], "a text is written with its version"
    if is_overflowing(fields):
        fields["whole"] = whole(fields, others)


def _wanted(fields: Document, *, tokens: bool) -> dict[str, Any]:
    """What is asked of `bodies`: of all that a version set aside, what it lacks."""
    name = _name(fields)
    # `0` is the character behind `/`.
    first = name if _lacks_text(fields) else f"{name}/p"
    last = f"{name}0" if tokens and is_overflowing(fields) else f"{name}/q"
    return {"_id": {"$gte": first, "$lt": last}}


def _set_aside_text(fields: Document, name: str, limits: StoreLimits) -> list[Document]:
    body = fields.get("body")
    if body is None or len(body) <= limits.inline_bytes_max:
        return []
    del fields["body"]
    fields["size"] = len(body)
    size = limits.body_part_bytes_max
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return [
        {"_id": f"{name}/{place:0{PART_DIGITS}d}" if place else name, "body": part}
        for place, part in enumerate(parts)
    ]


def _lacks_text(fields: Document) -> bool:
    return "size" in fields and "body" not in fields


def _name(fields: Document) -> str:
    number: int = fields["of"] if "of" in fields else fields["n"]
    return history_id(key_of(fields), number)
