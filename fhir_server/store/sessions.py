"""
What a process that was killed leaves in the database: open transactions.

They hold their documents until transactionLifetimeLimitSeconds has passed, and everyone who
writes these meets a conflict. Whoever sees a process die ends them at once, and so does a server
that starts, where the database has outlived the one before. Ending too many harms nobody: a
transaction that is aborted is run again by who began it.

It is a help, not a need: where the database does not allow it, they end by themselves.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/currentOp/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymongo.errors import PyMongoError

from fhir_server.store.database import Database
from fhir_server.store.documents import Document
from fhir_server.store.watermark import forget

# An operation under way counts as well: it may be a dead process's last, and its transaction stays.
_EVERYTHING: Final[Document] = {
    "$currentOp": {"allUsers": True, "idleSessions": True, "idleConnections": True}
}
_ONLY: Final[Document] = {
    "$project": {"type": 1, "appName": 1, "lsid": 1, "connectionId": 1, "transaction.parameters": 1}
}


async def release_sessions(database: Database, app_name: str) -> int:
    """End the transactions of the process that was called `app_name`; how many there were."""
    try:
        found = await _operations(database, {"appName": app_name})
        ended = await _end(database, found)
        await forget(database, {"app": app_name})
        return ended
    except PyMongoError:
        return 0


async def release_orphans(database: Database, prefix: str) -> int:
    """
    End the transactions of processes whose names begin with `prefix` and that are gone: no
    connection of theirs is left. How many there were.
    """
    try:
        found = await _operations(database, {"appName": {"$gte": prefix, "$lt": f"{prefix}\uffff"}})
        living = {one["appName"] for one in found if "connectionId" in one and one["type"] == "op"}
        ended = await _end(database, [one for one in found if one["appName"] not in living])
        begins = {"$gte": prefix, "$lt": f"{prefix}\uffff"}
        await forget(database, {"app": begins | {"$nin": sorted(living)}})
        return ended
    except PyMongoError:
        return 0


async def _operations(database: Database, where: Document) -> list[Document]:
    stages = [_EVERYTHING, {"$match": where}, _ONLY]
    return [found async for found in await database.client.admin.aggregate(stages)]


async def _end(database: Database, operations: Iterable[Document]) -> int:
    sessions = {one["lsid"]["id"]: {"id": one["lsid"]["id"]} for one in operations if "transaction" in one}
    if sessions:
        await database.client.admin.command("killSessions", list(sessions.values()))
    return len(sessions)
