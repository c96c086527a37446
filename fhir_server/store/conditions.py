"""
Conditions: what must match, and nothing else, when a unit commits.

A unit with conditions was planned on what a search found. While it commits the search is asked
again, in the unit's own transaction; when it finds something else the unit is given back to be
planned anew. MongoDB's snapshots do not see what others insert meanwhile, so units whose
conditions could change each other's answers have a lock in common, a document that each of them
touches before it asks: one of them commits, the other begins again.

https://hl7.org/fhir/R4/http.html#cond-update, https://www.mongodb.com/docs/manual/core/transactions/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.store.database import Database
from fhir_server.store.documents import Document
from fhir_server.store.filters import to_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.narrowing import narrowed
from fhir_server.store.resolving import resolved
from fhir_server.store.unit import Condition, Moved, Unit

_ASKED_TOGETHER: Final = 50
_TOUCHED: Final = [{"$set": {"at": "$$NOW"}}]


def lock_id(name: str) -> str:
    """The `_id` of a lock: of fixed length, and without what a name may say of a patient."""
    return blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()


async def touch(
    database: Database, units: Iterable[Unit], session: AsyncClientSession, *, limits: StoreLimits
) -> None:
    """Take the locks of all units, for as long as the transaction lasts."""
    locks = sorted({lock_id(name) for unit in units for one in unit.conditions for name in one.locks})
    for start in range(0, len(locks), limits.insert_batch_documents_max):
        some = locks[start : start + limits.insert_batch_documents_max]
        await database.locks.bulk_write(
            [UpdateOne({"_id": lock}, _TOUCHED, upsert=True) for lock in some], session=session
        )


async def moved(
    database: Database, units: Sequence[Unit], session: AsyncClientSession, *, limits: StoreLimits
) -> list[Moved | None]:
    """For each unit whether something else matches than it was planned on."""
    conditions = [one for unit in units for one in unit.conditions]
    found = iter(await matching(database, conditions, limits=limits, session=session))
    # Each unit takes its own answers, all of them.
    answers = [(unit, [next(found) for _ in unit.conditions]) for unit in units]
    return [Moved() if answer != [one.keys for one in unit.conditions] else None for unit, answer in answers]


async def matching(
    database: Database,
    conditions: Sequence[Condition],
    *,
    limits: StoreLimits,
    session: AsyncClientSession | None = None,
) -> list[tuple[str, ...]]:
    """
    The keys (`Type/id`, sorted) that match each condition now, at most `matches_max` of each.

    Raises what the driver raises: within a transaction that decides whether it is tried again.
    """
    matched: list[tuple[str, ...]] = []
    for start in range(0, len(conditions), _ASKED_TOGETHER):
        some = conditions[start : start + _ASKED_TOGETHER]
        first, *others = [
            await _asked(database, condition, place, session, limits) for place, condition in enumerate(some)
        ]
        unions = [{"$unionWith": {"coll": database.resources.name, "pipeline": one}} for one in others]
        cursor = await database.resources.aggregate(
            [*first, *unions], session=session, maxTimeMS=limits.search_milliseconds_max
        )
        keys: list[list[str]] = [[] for _ in some]
        for fields in await cursor.to_list():
            keys[fields["place"]].append(fields["_id"])
        matched += [tuple(sorted(one)) for one in keys]
    return matched


async def _asked(
    database: Database,
    condition: Condition,
    place: int,
    session: AsyncClientSession | None,
    limits: StoreLimits,
) -> list[Document]:
    wanted, types = narrowed(condition.predicate, condition.types)
    wanted = await resolved(database, wanted, types, session, limits)
    shown: dict[str, Any] = {"_id": 1, "place": {"$literal": place}}
    return [
        {"$match": to_filter(wanted, types=types)},
        {"$limit": condition.matches_max},
        {"$project": shown},
    ]
