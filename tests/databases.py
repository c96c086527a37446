"""
Databases of one's own, used again: making one with its indexes takes longer than most tests.

Who gets one finds in it what a first start leaves there, or nothing at all: no documents, no plans that
mongod remembers, and no collection or index that others have not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from fhir_server.store import database as made

EMPTIED_DOCUMENTS_MAX: Final = 500
"""A collection of more is dropped, with its database: deleting would take longer than making anew."""

AWAY_SECONDS_MAX: Final = 30
"""A mongod that was killed is started again within a second or two."""

HISTORY_SECONDS: Final = 300
"""https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.minSnapshotHistoryWindowInSeconds"""

gone: Final[list[str]] = []
"""Why there is no mongod any more, once that has been seen."""

_free: Final[dict[str, list[str]]] = {}
"""Of each mongod, by its address: the names of databases that nobody uses now."""


@asynccontextmanager
async def a_database(mongodb_url: str) -> AsyncIterator[str]:
    """The name of an empty database that nobody else uses until the block ends."""
    await require_mongod(mongodb_url)
    free = _free.setdefault(mongodb_url, [])
    name = free.pop() if free else f"test-{uuid4().hex}"
    yield name
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        await forget(client)
        if await _emptied(client[name]):
            free.append(name)
        else:
            # mongod keeps files open for each collection and index, so they must not pile up.
            await client.drop_database(name)


async def require_mongod(mongodb_url: str) -> None:
    """Fail, and see to it that no other test waits for it, when there is none any more."""
    milliseconds = AWAY_SECONDS_MAX * 1000
    async with AsyncMongoClient[dict[str, Any]](mongodb_url, serverSelectionTimeoutMS=milliseconds) as client:
        try:
            await client.admin.command("ping")
        except PyMongoError as error:
            gone.append(str(error))
            raise


@asynccontextmanager
async def a_new_database(mongodb_url: str) -> AsyncIterator[str]:
    """The name of a database that is not there yet; gone after the block."""
    name = f"test-{uuid4().hex}"
    yield name
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        await client.drop_database(name)


async def forget(client: AsyncMongoClient[dict[str, Any]]) -> None:
    """
    Let mongod let go of what was deleted before.

    It keeps that for readers of a moment up to five minutes ago, and all searches walk over it. Nobody
    reads between two tests.
    """
    for seconds in (0, HISTORY_SECONDS):
        await client.admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": seconds})
        # The oldest moment that is kept moves on with a write.
        await client["test-moments"]["moments"].replace_one({"_id": "now"}, {"kept": seconds}, upsert=True)


async def _emptied(database: AsyncDatabase[dict[str, Any]]) -> bool:
    """Whether it could be made as it was after a first start."""
    present = [database[name] for name in await database.list_collection_names()]
    if {collection.name for collection in present} != made._INDEXES.keys():
        return False
    if (
        max(await asyncio.gather(*(one.estimated_document_count() for one in present)))
        > EMPTIED_DOCUMENTS_MAX
    ):
        return False
    return all(await asyncio.gather(*map(_is_as_made, present)))


async def _is_as_made(collection: AsyncCollection[dict[str, Any]]) -> bool:
    """Empty it; whether its indexes are those that it was made with."""
    await collection.delete_many({"_id": {"$ne": "schema"}} if collection.name == "state" else {})
    await collection.database.command("planCacheClear", collection.name)
    indexes = await collection.index_information()
    return indexes.keys() == {"_id_", *(index.document["name"] for index in made._INDEXES[collection.name])}
