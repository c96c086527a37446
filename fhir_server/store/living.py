"""
What the processes that live serve with, where all of them have to be alike.

Each says it in its document of `writers` (watermark.py), which is kept while it lives and forgotten with it:
at once when it ends in order or a supervisor finds it gone, else after `writer_lease_seconds`.
"""

from __future__ import annotations

from fhir_server.store.database import Database
from fhir_server.store.faults import translated


async def others_serve_with(database: Database, owner: str, name: str, value: str) -> list[str]:
    """
    The values other than `value` that living processes serve with; `owner` serves with `value` from now on.

    Of two that begin at once with different ones each hears of the other, or one of both.
    """
    member = f"serves.{name}"
    alive = {"_id": {"$ne": owner}, "$expr": {"$gte": ["$until", "$$NOW"]}}
    otherwise = {member: {"$exists": True, "$ne": value}}
    with translated():
        await database.writers.update_one({"_id": owner}, {"$set": {member: value}})
        found = await database.writers.find(alive | otherwise, {member: 1}).to_list()
    return sorted({fields["serves"][name] for fields in found})
