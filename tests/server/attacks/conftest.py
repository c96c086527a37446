"""Fixtures: a watched server for the tests of a file, another process's worth of it, and who is logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.server.attacking import Watched, attacked, logged_in
from tests.server.running import serving
from tests.smart.browsing import Person


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    async with attacked(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def second(server: Watched, mongodb_url: str) -> AsyncIterator[Watched]:
    """Another process's worth of the same server."""
    told = server.services.settings
    async with serving(
        mongodb_url, told.mongodb_database, told.data_dir, refusals_per_second_max=10_000
    ) as running:
        yield Watched(running.application, running.services, secrets=server.secrets)


@pytest.fixture(autouse=True)
def listened(server: Watched) -> Iterator[None]:
    with server.listening():
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ann(server: Watched) -> Person:
    return await logged_in(server, "ann")
