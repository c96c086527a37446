"""
The epoch: numbers that move with what all processes must agree on, in the same transaction.

They live in one document beside the resources, so that they come along in the same `$in` as a read
and what a process keeps is never judged older than the read. Each Consent that is written carries
the epoch it was written in, so what changed after an epoch can be asked for exactly. What has been
declared of search parameters is read as a whole (declaring.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.search.predicates.version import Version
from fhir_server.store.bodies import put_back
from fhir_server.store.database import Database
from fhir_server.store.documents import version
from fhir_server.store.faults import translated

EPOCH_ID: Final = "~epoch"


class Epoch(NamedTuple):
    """
    How often what has changed: Consents; search parameters, in what is answered and in what is indexed;
    which tokens have been revoked; which codes are app state, and whose.

    A search is answered by the parameters of `parameters`, an entry is made by those of `indexed`.
    """

    consents: int = 0
    parameters: int = 0
    indexed: int = 0
    revoked: int = 0
    app_state: int = 0


def epoch_of(fields: Mapping[str, Any] | None) -> Epoch:
    """What the document says; None is the beginning."""
    if fields is None:
        return Epoch()
    return Epoch(*(fields.get(number, 0) for number in ("n", "p", "i", "r", "s")))


async def move_parameters(database: Database, session: AsyncClientSession, *, indexed: bool) -> None:
    """As `next_epoch`, for search parameters; `indexed` when entries are made otherwise from now on."""
    await database.resources.update_one(
        {"_id": EPOCH_ID}, {"$inc": {"p": 1, "i": int(indexed)}}, upsert=True, session=session
    )


async def move_revoked(database: Database, session: AsyncClientSession) -> int:
    """As `next_epoch`, for what has been revoked."""
    return await _moved(database, session, "r")


async def move_app_state(database: Database, session: AsyncClientSession) -> int:
    """As `next_epoch`, for codes of app state."""
    return await _moved(database, session, "s")


async def next_epoch(database: Database, session: AsyncClientSession) -> int:
    """Moves the epoch within a transaction; two that do so at once cannot both commit."""
    return await _moved(database, session, "n")


async def _moved(database: Database, session: AsyncClientSession, number: str) -> int:
    moved = await database.resources.find_one_and_update(
        {"_id": EPOCH_ID},
        {"$inc": {number: 1}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    assert moved is not None, "an upsert leaves a document"
    return int(moved[number])


async def consents_changed_after(database: Database, epoch: int) -> list[Version]:
    """The current versions (tombstones too) of the Consents changed since, the oldest change first."""
    with translated():
        cursor = database.resources.find({"ce": {"$gt": epoch}}, sort=[("ce", 1), ("_id", 1)])
        found = await cursor.to_list()
        await put_back(database.bodies, found)
        return [version(fields) for fields in found]
