"""Fixtures: an empty store, and as many more on the same database as a test asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.store.documents import Document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.store import Store
from tests.databases import forget
from tests.store.versions import Clock

OpenStore = Callable[..., Awaitable[Store]]

# Making a database with its indexes takes longer than most tests, so they share one.
DATABASE = "test-store"
EMPTIED = (
    "resources",
    "history",
    "bodies",
    "ledger",
    "shards",
    "writers",
    "inbox",
    "users",
    "grants",
    "tickets",
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(mongodb_url: str) -> AsyncIterator[AsyncMongoClient[Document]]:
    async with AsyncMongoClient[Document](mongodb_url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def open_store(
    mongodb_url: str, client: AsyncMongoClient[Document], clock: Clock
) -> AsyncIterator[OpenStore]:
    """Opens a store on the test's database, as another process would; closed after the test."""
    for collection in EMPTIED:
        await client[DATABASE][collection].delete_many({})
    await client[DATABASE]["state"].delete_many({"_id": {"$ne": "schema"}})
    await forget(client)
    async with AsyncExitStack() as stack:
        seeds = iter(range(1, 100))

        async def open_one(limits: StoreLimits | None = None, app_name: str = "tests") -> Store:
            store = await Store.open(
                mongodb_url,
                clock=clock,
                random=Random(next(seeds)),
                name=DATABASE,
                app_name=app_name,
                limits=limits,
            )
            stack.push_async_callback(store.close)
            return store

        yield open_one


@pytest_asyncio.fixture(loop_scope="session")
async def store(open_store: OpenStore) -> Store:
    return await open_store()
