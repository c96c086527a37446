"""
The epoch: one number that moves with each change to a Consent, in the same transaction.

It lives beside the resources, so that it comes along in the same `$in` as a read and what a
process keeps of consents is never judged older than the read. Each Consent that is written
carries the epoch it was written in, so what changed after an epoch can be asked for exactly.
"""

from __future__ import annotations

from typing import Final

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.search.version import Version
from fhir_server.store.bodies import put_back
from fhir_server.store.database import Database
from fhir_server.store.documents import version
from fhir_server.store.faults import translated

EPOCH_ID: Final = "~epoch"


async def next_epoch(database: Database, session: AsyncClientSession) -> int:
    """Moves the epoch within a transaction; two that do so at once cannot both commit."""
    moved = await database.resources.find_one_and_update(
        {"_id": EPOCH_ID},
        {"$inc": {"n": 1}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    assert moved is not None, "an upsert leaves a document"
    return int(moved["n"])


async def consents_changed_after(database: Database, epoch: int) -> list[Version]:
    """The current versions (tombstones too) of the Consents changed since, the oldest change first."""
    with translated():
        cursor = database.resources.find({"ce": {"$gt": epoch}}, sort=[("ce", 1), ("_id", 1)])
        found = await cursor.to_list()
        await put_back(database.bodies, found)
        return [version(fields) for fields in found]
