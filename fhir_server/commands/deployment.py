"""The database and the keys of the deployment that the settings name, for commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Annotated, TypeVar

import typer

from fhir_server.commands.failure import fail
from fhir_server.r4.errors import FhirError
from fhir_server.settings import Settings, settings
from fhir_server.store.database import Unsuitable
from fhir_server.store.embedded import CannotStart, joined
from fhir_server.store.store import Store

Told = TypeVar("Told")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The data folder of the server.", show_default="data")
]
MongodbUrl = Annotated[
    str | None,
    typer.Option("--mongodb-url", help="The replica set, when the server has an external one."),
]


def utc_now() -> datetime:
    """The clock of commands."""
    return datetime.now(UTC)


def with_store(
    command: str,
    data_dir: Path | None,
    mongodb_url: str | None,
    do: Callable[[Store], Awaitable[Told]],
) -> Told:
    """What is done with its store; the command fails with the reason when it cannot be opened."""

    async def run(told: Settings) -> Told:
        async with opened(told, command) as store:
            return await do(store)

    try:
        return asyncio.run(run(settings({"data_dir": data_dir, "mongodb_url": mongodb_url})))
    except (CannotStart, Unsuitable, FhirError) as refusal:
        fail(str(refusal))


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
