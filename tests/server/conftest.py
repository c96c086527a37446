"""Fixtures: one server per test, on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.server.running import Server, serving


@pytest_asyncio.fixture(loop_scope="session")
async def server(mongodb_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(mongodb_url, database_name, tmp_path) as running:
        yield running
