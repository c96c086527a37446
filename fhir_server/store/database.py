"""
The connection: where everything is majority-committed and journaled, whatever a URL says.

Opening refuses what cannot keep our promises (a standalone mongod has no transactions, a schema
newer than this program) and makes the collections and indexes that are missing, one process at a
time. docs/storage.md describes the collections; an index earns its place there.

https://www.mongodb.com/docs/manual/core/transactions/
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import pymongo
from pymongo import ASCENDING, DESCENDING, GEOSPHERE, AsyncMongoClient, IndexModel, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from fhir_server.store.documents import EPOCH, Document
from fhir_server.store.explaining import WatchedCollection
from fhir_server.store.faults import is_passing, translated
from fhir_server.store.limits import StoreLimits
from fhir_server.store.routes import DATED, LASTING, OF_PATIENT

SCHEMA_VERSION: Final = 10
SCHEMA_VERSION_MIN: Final = 9
SERVER_VERSION_MIN: Final = (6, 0)
SETUP_SECONDS_MAX: Final = 600
COMMIT_SECONDS_MAX: Final = 10.0
COMMIT_AGAIN_SECONDS: Final = 0.02
LOCK_SECONDS: Final = 9
LOCK_RENEWED_SECONDS: Final = 3
LOCK_POLL_SECONDS: Final = 0.05
LOCK_FORGOTTEN_SECONDS: Final = 3600
"""A lock of a condition (conditions.py), or a writer, that nobody has touched for so long is deleted."""

MAJORITY: Final = ReadConcern("majority")
SNAPSHOT: Final = ReadConcern("snapshot")

Collection = AsyncCollection[Document]


class Unsuitable(Exception):
    """This database cannot be served from; the message says what the operator can do."""


@dataclass(frozen=True, slots=True)
class Database:
    """The collections; docs/storage.md says what is in each."""

    client: AsyncMongoClient[Document]
    resources: Collection
    history: Collection
    bodies: Collection
    ledger: Collection
    shards: Collection
    locks: Collection
    revoked: Collection
    writers: Collection
    state: Collection
    inbox: Collection
    users: Collection
    grants: Collection
    tickets: Collection

    @classmethod
    async def open(cls, url: str, name: str, *, app_name: str, limits: StoreLimits) -> Self:
        """
        The database `name` at `url`, ready to be used.

        Raises Unsuitable when it never can be, Unavailable when nobody answers.
        """
        client = _client(url, app_name, limits)
        async with AsyncExitStack() as unless_opened:
            unless_opened.push_async_callback(client.close)
            with translated():
                await _require_suitable(client)
                database = client.get_database(
                    name,
                    read_preference=ReadPreference.PRIMARY,
                    write_concern=WriteConcern(
                        "majority", j=True, wtimeout=limits.operation_milliseconds_max
                    ),
                    read_concern=MAJORITY,
                )
                await _set_up(database, app_name)
            unless_opened.pop_all()
        return cls(client, *(WatchedCollection(database, collection) for collection in _INDEXES))

    @asynccontextmanager
    async def transaction(self, seconds: float) -> AsyncIterator[AsyncClientSession]:
        """A session with a transaction that has begun; aborted unless it was committed within."""
        async with self.client.start_session() as session:
            await session.start_transaction(
                SNAPSHOT,
                self.resources.write_concern,
                ReadPreference.PRIMARY,
                max_commit_time_ms=max(1, int(seconds * 1000)),
            )
            yield session

    async def commit(self, change: Callable[[AsyncClientSession], Awaitable[None]]) -> None:
        """Make `change` in a transaction, again while others are in its way. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        until = loop.time() + COMMIT_SECONDS_MAX
        with translated():
            while True:
                try:
                    async with self.transaction(COMMIT_SECONDS_MAX) as session:
                        await change(session)
                        await session.commit_transaction()
                except PyMongoError as error:
                    if not is_passing(error) or loop.time() >= until:
                        raise
                    await asyncio.sleep(COMMIT_AGAIN_SECONDS)
                else:
                    return

    async def close(self) -> None:
        await self.client.close()


def _client(url: str, app_name: str, limits: StoreLimits) -> AsyncMongoClient[Document]:
    try:
        return AsyncMongoClient(
            url,
            appname=app_name,
            maxPoolSize=limits.connections_max,
            # Each query carries its own limit, which the server keeps and explains; these are for a
            # server that does not answer. `timeoutMS` would hang up at the moment the server explains.
            serverSelectionTimeoutMS=limits.operation_milliseconds_max,
            connectTimeoutMS=limits.operation_milliseconds_max,
            socketTimeoutMS=limits.operation_milliseconds_max + limits.search_milliseconds_max,
            retryReads=True,
            retryWrites=True,
        )
    except ConfigurationError as error:
        raise Unsuitable(f"The MongoDB URL cannot be read: {error}") from error


async def _require_suitable(client: AsyncMongoClient[Document]) -> None:
    hello = await client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise Unsuitable(
            "This MongoDB is a standalone server, and transactions need a replica set. "
            "One member is enough: start mongod with --replSet and run rs.initiate()."
        )
    build = await client.admin.command("buildInfo")
    if tuple(build["versionArray"][:2]) < SERVER_VERSION_MIN:
        raise Unsuitable(f"This MongoDB is version {build['version']}; 6.0 or newer is needed.")


async def _set_up(database: AsyncDatabase[Document], owner: str) -> None:
    """Make what is missing, under a lock, unless the database has the schema of this program."""
    state = database["state"]
    if await _is_current(state):
        return
    async with _locked(state, owner):
        if await _is_current(state):
            return
        with pymongo.timeout(SETUP_SECONDS_MAX):
            present = set(await database.list_collection_names())
            for name, indexes in _INDEXES.items():
                if name not in present:
                    await database.create_collection(name)
                if indexes:
                    await database[name].create_indexes(indexes)
        schema = {"_id": "schema", "version": SCHEMA_VERSION}
        await state.replace_one({"_id": "schema"}, schema, upsert=True)


async def _is_current(state: Collection) -> bool:
    """Raises Unsuitable when the schema is newer than this program, or too old for it."""
    schema = await state.find_one({"_id": "schema"})
    if schema is not None and schema["version"] < SCHEMA_VERSION_MIN:
        raise Unsuitable(
            f"The database has schema version {schema['version']}, from before the first release: its "
            f"index lacks what version {SCHEMA_VERSION_MIN} searches by. Load its resources into a new one."
        )
    if schema is not None and schema["version"] > SCHEMA_VERSION:
        raise Unsuitable(
            f"The database has schema version {schema['version']}, this program knows {SCHEMA_VERSION}. "
            "Start the newer program, or restore a backup made before it ran."
        )
    return schema is not None and schema["version"] == SCHEMA_VERSION


@asynccontextmanager
async def _locked(state: Collection, owner: str) -> AsyncIterator[None]:
    """
    One process at a time, by the database's clock.

    The lock is renewed while it is held, so that of an owner who died lapses soon: a server that was
    killed in its first start is started again at once, and must not wait for a ghost.
    """
    unowned = {"owner": None, "until": EPOCH}
    await state.update_one({"_id": "lock"}, {"$setOnInsert": unowned}, upsert=True)
    free = {"_id": "lock", "$expr": {"$lt": ["$until", "$$NOW"]}}
    until = {"$add": ["$$NOW", LOCK_SECONDS * 1000]}
    mine = [{"$set": {"owner": owner, "until": until}}]
    while not (await state.update_one(free, mine)).modified_count:  # noqa: ASYNC110 - other processes
        await asyncio.sleep(LOCK_POLL_SECONDS)
    renewing = asyncio.create_task(_renewed(state, {"_id": "lock", "owner": owner}, mine))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait((renewing,))
        await state.update_one({"_id": "lock", "owner": owner}, {"$set": unowned})


async def _renewed(state: Collection, held: Document, mine: list[Document]) -> None:
    while True:
        await asyncio.sleep(LOCK_RENEWED_SECONDS)
        with contextlib.suppress(PyMongoError):
            await state.update_one(held, mine)


def _index(*fields: str, **options: Any) -> IndexModel:
    """`-d` is `d` in descending order."""
    keys = [(field.lstrip("-"), DESCENDING if field.startswith("-") else ASCENDING) for field in fields]
    return IndexModel(keys, **options)


# Raise SCHEMA_VERSION with any change here. Each entry costs every write; docs/storage.md says
# which question each index answers.
_INDEXES: Final[Mapping[str, list[IndexModel]]] = {
    "resources": [
        _index("tok", "seq"),
        _index("wrd", "seq", partialFilterExpression={"wrd": {"$exists": True}}),
        _index("tok", "-d", "seq", partialFilterExpression=DATED),
        # Of what lasts, which is looked at beside a window of moments (routes.py).
        _index("tok", "-d", "seq", name="lasting", partialFilterExpression=LASTING),
        IndexModel(list(OF_PATIENT)),
        _index("rng.p", "rng.lo", "rng.hi", sparse=True),
        _index("ty", "t", "seq"),
        _index("t", "seq"),
        _index("ce", sparse=True),
        _index("in.tok", "seq", partialFilterExpression={"in": {"$exists": True}}),
        # Such an index leaves out what has no point, whether it is called sparse or not.
        IndexModel([("geo", GEOSPHERE)]),
    ],
    "history": [_index("ty", "t", "seq"), _index("t", "seq"), _index("e")],
    "bodies": [
        _index("tok", "of", sparse=True),
        _index("wrd", "of", partialFilterExpression={"wrd": {"$exists": True}}),
    ],
    "ledger": [_index("tok", "-t", "-_id"), _index("-t", "-_id")],
    "shards": [],
    "locks": [_index("at", expireAfterSeconds=LOCK_FORGOTTEN_SECONDS)],
    "revoked": [_index("at", expireAfterSeconds=0), _index("n")],
    "writers": [_index("until", expireAfterSeconds=LOCK_FORGOTTEN_SECONDS)],
    "state": [],
    "inbox": [_index("status", "received")],
    "users": [_index("name", unique=True), _index("fhir_user")],
    "grants": [_index("at", expireAfterSeconds=0), _index("user"), _index("session", sparse=True)],
    "tickets": [_index("at", expireAfterSeconds=0)],
}
