"""
Inbound messages: the exact bytes, durable before anybody acts on them, and what became of them.

The shape is that of the port which adapters/inbox declares. `_id` is a digest of the message's
identity, so that whoever keeps it, wherever, keeps it once. `stored` is final: what was committed
stays committed, whatever a second delivery of the same message comes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

from pymongo.errors import DuplicateKeyError

from fhir_server.r4.errors import TooLarge
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, milliseconds
from fhir_server.store.faults import translated
from fhir_server.store.limits import StoreLimits

Status = Literal["received", "stored", "refused", "unreadable"]
Facts = Mapping[str, str]

ID_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class Kept:
    """A message: `fresh` for the call that kept it first; no `answer` while nothing was decided."""

    id: str
    status: Status
    answer: bytes | None
    fresh: bool
    raw: bytes
    facts: Facts


class Inbox:
    """
    The messages; durable when a call returns.

    Raises Unavailable when that cannot be promised, TooLarge for a message beyond a document.
    """

    def __init__(self, database: Database, *, limits: StoreLimits) -> None:
        self._inbox = database.inbox
        self._bytes_max = limits.document_bytes_max

    async def keep(self, identity: str, raw: bytes, facts: Facts, now: datetime) -> Kept:
        """The message with this identity, kept now if it was not there."""
        if len(raw) > self._bytes_max:
            raise TooLarge(f"The message has {len(raw)} bytes, the limit is {self._bytes_max}")
        fields: Document = {
            "_id": sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:ID_CHARACTERS],
            "raw": raw,
            "facts": dict(facts),
            "status": "received",
            "answer": None,
            "received": milliseconds(now),
        }
        with translated():
            try:
                await self._inbox.insert_one(fields)
            except DuplicateKeyError:
                there = await self._inbox.find_one({"_id": fields["_id"]})
                assert there is not None, "messages are never removed"
                return _kept(there)
        return _kept(fields, fresh=True)

    async def settle(
        self, id: str, status: Status, answer: bytes | None, facts: Facts, now: datetime
    ) -> None:
        """Record what was decided and answered; `facts` are added to those that are there."""
        where: Document = {"_id": id}
        if status != "stored":
            where["status"] = {"$ne": "stored"}
        decided: Document = {
            "status": status,
            "answer": {"$literal": answer},
            "settled": milliseconds(now),
            "facts": {"$mergeObjects": ["$facts", {"$literal": dict(facts)}]},
        }
        with translated():
            await self._inbox.update_one(where, [{"$set": decided}])

    async def reopen(self, id: str) -> None:
        """A message that was refused or unreadable is judged anew."""
        where = {"_id": id, "status": {"$in": ["refused", "unreadable"]}}
        with translated():
            await self._inbox.update_one(where, {"$set": {"status": "received", "answer": None}})

    async def unsettled(self, limit: int) -> Sequence[Kept]:
        """The oldest messages about which nothing was decided."""
        where = {"status": "received", "answer": None}
        with translated():
            found = await self._inbox.find(where, sort=[("received", 1)], limit=limit).to_list()
        return [_kept(fields) for fields in found]

    async def find(self, id: str) -> Kept | None:
        """One message."""
        with translated():
            fields = await self._inbox.find_one({"_id": id})
        return _kept(fields) if fields else None


def _kept(fields: Mapping[str, Any], *, fresh: bool = False) -> Kept:
    return Kept(fields["_id"], fields["status"], fields["answer"], fresh, fields["raw"], fields["facts"])
