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
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, version
from fhir_server.store.filters import to_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.narrowing import narrowed
from fhir_server.store.overflow import OVERFLOWING_TYPES
from fhir_server.store.resolving import resolved
from fhir_server.store.unit import Condition, Moved, Unit

ASKED_TOGETHER: Final = 50
"""Conditions in one query."""
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
    asking = _Asking(database, limits, session)
    matched: list[tuple[str, ...]] = []
    for start in range(0, len(conditions), ASKED_TOGETHER):
        matched += await asking.together(conditions[start : start + ASKED_TOGETHER])
    return matched


@dataclass(frozen=True, slots=True)
class _Asking:
    database: Database
    limits: StoreLimits
    session: AsyncClientSession | None

    async def together(self, conditions: Sequence[Condition]) -> list[tuple[str, ...]]:
        """
        One round trip for all: what matches any of them, judged one by one.

        One by one from the start where that cannot be judged from a document, or finds too much.
        """
        most = sum(condition.matches_max for condition in conditions)
        if len(conditions) == 1 or any(condition.types & OVERFLOWING_TYPES for condition in conditions):
            return [await self.alone(condition) for condition in conditions]
        filters = [_filter(condition.predicate, condition.types) for condition in conditions]
        found = await self._find({"$or": filters}, {"body": 0}, most + 1)
        if len(found) > most:
            return [await self.alone(condition) for condition in conditions]
        versions = [version(fields) for fields in found]
        return [_matches(condition, versions) for condition in conditions]

    async def alone(self, condition: Condition) -> tuple[str, ...]:
        predicate = await resolved(
            self.database, condition.predicate, condition.types, self.session, self.limits
        )
        where = _filter(predicate, condition.types)
        found = await self._find(where, {"_id": 1}, condition.matches_max)
        return tuple(sorted(fields["_id"] for fields in found))

    async def _find(self, where: Document, shown: Document, most: int) -> list[Document]:
        cursor = self.database.resources.find(
            where,
            shown,
            limit=most,
            session=self.session,
            max_time_ms=self.limits.search_milliseconds_max,
        )
        return await cursor.to_list()


def _filter(predicate: Predicate, types: frozenset[str]) -> Document:
    wanted, of_types = narrowed(predicate, types)
    return to_filter(wanted, types=of_types)


def _matches(condition: Condition, versions: Sequence[Version]) -> tuple[str, ...]:
    keys = [
        str(one.key)
        for one in versions
        if one.key.type in condition.types and matches(condition.predicate, one)
    ]
    return tuple(sorted(keys)[: condition.matches_max])
