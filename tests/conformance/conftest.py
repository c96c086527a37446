"""Fixtures: one server for all tests of the REST API; each test has resources of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.conformance.listening import Listening, listening
from tests.conformance.shelf import Shelf
from tests.databases import a_database


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listening]:
    folder = tmp_path_factory.mktemp("data")
    async with (
        a_database(mongodb_url) as name,
        listening(mongodb_url, name, folder, full_text="content") as running,
    ):
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(server: Listening) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do everything."""
    async with server.as_() as client:
        yield client


@pytest.fixture
def id() -> str:
    """An id that no other test uses."""
    return uuid4().hex


@pytest.fixture
def shelf(client: httpx.AsyncClient, id: str) -> Shelf:
    """A place for the resources of one test."""
    return Shelf(client, id)
