"""The database and the keys of the deployment that the settings name, for commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import SystemRandom

from fhir_server.settings import Settings
from fhir_server.store.embedded import joined
from fhir_server.store.store import Store


def utc_now() -> datetime:
    """The clock of commands."""
    return datetime.now(UTC)


@asynccontextmanager
async def opened(told: Settings, command: str) -> AsyncIterator[Store]:
    """Its store, whether or not it is being served. Raises CannotStart, Unsuitable, Unavailable."""
    if told.mongodb_url is not None:
        async with _store(told, command, told.mongodb_url) as store:
            yield store
        return
    async with joined(told.data_dir) as url, _store(told, command, url) as store:
        yield store


@asynccontextmanager
async def _store(told: Settings, command: str, url: str) -> AsyncIterator[Store]:
    store = await Store.open(
        url,
        clock=utc_now,
        random=SystemRandom(),
        name=told.mongodb_database,
        app_name=f"fhir-server {command}",
    )
    try:
        yield store
    finally:
        await store.close()
