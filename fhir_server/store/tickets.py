"""
What holds for minutes and is known by a secret alone: launches, authorization requests, sessions of browsers.

The secret is not kept, its hash is. A ticket that is taken is gone: of two who take it at once one gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from fhir_server.store.database import Database
from fhir_server.store.documents import Document, in_utc
from fhir_server.store.faults import translated

Kind = Literal["launch", "request", "session"]


def ticket_id(kind: Kind, secret: str) -> str:
    """What the ticket is kept under; who knows it cannot use it."""
    return f"{kind}/{sha256(secret.encode()).hexdigest()}"


class Tickets:
    """Durable when a call returns."""

    def __init__(self, database: Database) -> None:
        self._tickets = database.tickets

    async def put(self, kind: Kind, secret: str, value: Mapping[str, Any], until: datetime) -> None:
        """Make it known, until then."""
        with translated():
            await self._tickets.insert_one({"_id": ticket_id(kind, secret), "at": until, "value": value})

    async def get(self, kind: Kind, secret: str, now: datetime) -> Document | None:
        """What it says; None when there is none, or none any more."""
        with translated():
            found = await self._tickets.find_one({"_id": ticket_id(kind, secret), "at": {"$gt": now}})
        return None if found is None else in_utc(found["value"])

    async def is_known(self, id: str, now: datetime) -> bool:
        """Is there one that is kept under this id?"""
        with translated():
            return await self._tickets.count_documents({"_id": id, "at": {"$gt": now}}, limit=1) == 1

    async def take(self, kind: Kind, secret: str, now: datetime) -> Document | None:
        """As `get`, for the last time."""
        asked = {"_id": ticket_id(kind, secret), "at": {"$gt": now}}
        with translated():
            found = await self._tickets.find_one_and_delete(asked)
        return None if found is None else in_utc(found["value"])

    async def change(self, kind: Kind, secret: str, members: Mapping[str, Any]) -> bool:
        """Say this from now on, as well as what it said before; False when there is none."""
        told = {f"value.{name}": value for name, value in members.items()}
        with translated():
            done = await self._tickets.update_one({"_id": ticket_id(kind, secret)}, {"$set": told})
        return done.matched_count == 1
