"""
What a process that was killed leaves in the database: open transactions.

They hold their documents until transactionLifetimeLimitSeconds has passed, and everyone who
writes these meets a conflict. Whoever sees a process die ends them at once.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/currentOp/
"""

from __future__ import annotations

from pymongo.errors import PyMongoError

from fhir_server.store.database import Database
from fhir_server.store.documents import Document


async def release_sessions(database: Database, app_name: str) -> int:
    """
    End the idle transactions of the process that was called `app_name`; how many there were.

    It is a help, not a need: where the database does not allow it, they end by themselves.
    """
    operations: list[Document] = [
        {"$currentOp": {"allUsers": True, "idleSessions": True}},
        {"$match": {"type": "idleSession", "appName": app_name, "transaction": {"$exists": True}}},
        {"$project": {"lsid": 1}},
    ]
    admin = database.client.admin
    try:
        sessions = [found["lsid"] async for found in await admin.aggregate(operations)]
        if sessions:
            await admin.command("killSessions", [{"id": lsid["id"]} for lsid in sessions])
    except PyMongoError:
        return 0
    return len(sessions)
