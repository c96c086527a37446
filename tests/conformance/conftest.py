"""Fixtures: one server for all tests of the REST API; each test has resources of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from tests.conformance.listening import Listening, listening


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listening]:
    database = f"test-{uuid4().hex}"
    async with listening(mongodb_url, database, tmp_path_factory.mktemp("data")) as running:
        yield running
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as administrator:
        await administrator.drop_database(database)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(server: Listening) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do everything."""
    async with server.as_() as client:
        yield client


@pytest.fixture
def id() -> str:
    """An id that no other test uses."""
    return uuid4().hex
