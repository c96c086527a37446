"""
A replica set of one member, which is what gives transactions and change streams.

The member's address is the path of the Unix socket. A data folder that was moved has another one:
mongod then finds itself in no set and waits, until it is told the new address by force.

https://www.mongodb.com/docs/manual/reference/command/replSetReconfig/
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from fhir_server.store.embedded.errors import CannotStart

NAME = "fhir"
NOT_YET_INITIALIZED = 94
ALREADY_INITIALIZED = 23
POLL_SECONDS = 0.01
START_TIMEOUT_SECONDS = 20.0

Client = AsyncMongoClient[dict[str, Any]]


def url_of(socket: Path) -> str:
    """The address that clients use: they wait for the primary, and find it again after a restart."""
    return f"mongodb://{urllib.parse.quote(str(socket), safe='')}/?replicaSet={NAME}"


async def make_primary(socket: Path) -> None:
    """Make the mongod that listens there the primary of its set, under this address. Waits for it."""
    async with _direct_client(socket, START_TIMEOUT_SECONDS) as client:
        config = await _configuration(client, socket)
        if [member["host"] for member in config["members"]] != [str(socket)]:
            await _move(client, config, socket)
        await _until_primary(client)


async def is_healthy(socket: Path, seconds_max: float) -> bool:
    """Whether it answers within the time, and may be written to."""
    async with _direct_client(socket, seconds_max) as client:
        try:
            return await _is_primary(client)
        except PyMongoError:
            return False


@asynccontextmanager
async def _direct_client(socket: Path, timeout_seconds: float) -> AsyncIterator[Client]:
    """A client for this member itself, whether it is primary or not; closed to the end, whatever happens."""
    timeout_ms = int(timeout_seconds * 1000)
    client: Client = AsyncMongoClient(
        f"mongodb://{urllib.parse.quote(str(socket), safe='')}/?directConnection=true",
        serverSelectionTimeoutMS=timeout_ms,
        socketTimeoutMS=timeout_ms,
        maxPoolSize=1,
    )
    try:
        yield client
    finally:
        closing = asyncio.ensure_future(client.close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            # Who stops does not wait for a health check: half closed, its connection would stay open.
            await closing
            raise


async def _configuration(client: Client, socket: Path) -> dict[str, Any]:
    """That of the set; made, when there is none."""
    while True:
        try:
            config: dict[str, Any] = (await client.admin.command("replSetGetConfig"))["config"]
            return config
        except OperationFailure as error:
            if error.code != NOT_YET_INITIALIZED:
                raise
        try:
            await client.admin.command("replSetInitiate", {"_id": NAME, "members": [_member(socket)]})
        except OperationFailure as error:
            # mongod listens before it has read its configuration, and says at first that it has none.
            if error.code != ALREADY_INITIALIZED:
                raise
            await asyncio.sleep(POLL_SECONDS)


async def _until_primary(client: Client) -> None:
    while True:
        if await _is_primary(client):
            return
        await asyncio.sleep(POLL_SECONDS)


async def _is_primary(client: Client) -> bool:
    return bool((await client.admin.command("hello")).get("isWritablePrimary"))


async def _move(client: Client, config: dict[str, Any], socket: Path) -> None:
    if len(config["members"]) != 1:
        raise CannotStart(
            "The data folder holds a member of a larger replica set; "
            "give that set's address with --mongodb-url"
        )
    moved = {
        **config,
        "version": config["version"] + 1,
        "members": [{**config["members"][0], "host": str(socket)}],
    }
    await client.admin.command("replSetReconfig", moved, force=True)


def _member(socket: Path) -> dict[str, Any]:
    return {"_id": 0, "host": str(socket)}
