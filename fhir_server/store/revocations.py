"""
What has been revoked before it expired: single tokens, and all that a client had been given.

A document of `revoked` is named after what it revokes, carries the epoch in which it was written, and is
forgotten when nothing that it revokes could hold any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.smart.revocations import Revocation
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, milliseconds, moment
from fhir_server.store.epoch import move_revoked
from fhir_server.store.faults import translated


class Revocations:
    """Durable, and known to each process that looks at the epoch, when `add` returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, revocation: Revocation) -> None:
        """Raises Unavailable."""

        async def change(session: AsyncClientSession) -> None:
            epoch = await move_revoked(self._database, session)
            fields: Document = {
                "_id": revocation.name,
                "n": epoch,
                "before": milliseconds(revocation.before),
                "at": revocation.until,
            }
            await self._database.revoked.replace_one(
                {"_id": revocation.name}, fields, upsert=True, session=session
            )

        await self._database.commit(change)

    async def after(self, epoch: int) -> Sequence[Revocation]:
        """Those since that epoch, the oldest first."""
        with translated():
            found = await self._database.revoked.find({"n": {"$gt": epoch}}, sort=[("n", 1)]).to_list()
        return [Revocation(one["_id"], moment(one["before"]), one["at"].replace(tzinfo=UTC)) for one in found]
