"""
One group of units, committed in one MongoDB transaction with the records of what they did.

The current versions are read, each unit is judged against them (plan.py), resources, superseded
versions and ledger links are written and committed. What was indexed by other search parameters than
the database's is not written: the epoch is read along with the versions, and where there are none to
read, beside the writes, in no more time. An error aborts such a transaction as a
whole, so what fails together is tried again in halves, until each unit stands or falls for itself.
Between processes MongoDB lets one of two writers of a key win; the other judges anew what it left.

When the answer to a commit is lost, the commit is repeated until its outcome is known. If time
runs out first the callers are told Unavailable: all of a unit is done, or nothing.

https://www.mongodb.com/docs/manual/core/transactions-in-applications/
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from random import Random
from typing import Final

from pymongo import ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import ConnectionFailure, PyMongoError

from audit.chain import Link
from fhir_server.r4.errors import TooLarge
from fhir_server.store.bodies import put_back
from fhir_server.store.conditions import moved, touch
from fhir_server.store.database import Collection, Database
from fhir_server.store.declaring import declare
from fhir_server.store.documents import Document
from fhir_server.store.epoch import EPOCH_ID, epoch_of, next_epoch
from fhir_server.store.faults import DRIVER_ERRORS, is_commit_unknown, is_passing, refusal
from fhir_server.store.ledger import link_document
from fhir_server.store.limits import StoreLimits
from fhir_server.store.pages import weight_of
from fhir_server.store.plan import Outcome, Plan, Planner
from fhir_server.store.shards import Shards
from fhir_server.store.slices import in_slices, result_in_slices
from fhir_server.store.unit import Moved, Unit
from fhir_server.store.watermark import Stamp, Watermark

PAUSE_SECONDS_MIN: Final = 0.002
PAUSE_SECONDS_MAX: Final = 0.25


class Attempts:
    """Commits groups of units that have no key in common."""

    def __init__(
        self,
        database: Database,
        shards: Shards,
        planner: Planner,
        *,
        limits: StoreLimits,
        watermark: Watermark,
        random: Random,
    ) -> None:
        self._database = database
        self._shards = shards
        self._planner = planner
        self._limits = limits
        self._watermark = watermark
        self._random = random

    async def settle(
        self, units: Sequence[Unit], seconds: float, *, alone: bool = False
    ) -> list[Outcome | BaseException]:
        """
        What came of each unit within `seconds`; None for one that is too large for a group.

        One that is `alone`, with the time that it takes, may be as large as a transaction.
        """
        return await self._together(units, _now() + seconds, 0, alone=alone)

    async def _together(
        self, units: Sequence[Unit], until: float, tries: int, *, alone: bool
    ) -> list[Outcome | BaseException]:
        while True:
            # As a task, so that a bug in one judge is a result, and only that of its own unit.
            [ended] = await asyncio.gather(
                self._attempt(units, until, again=tries > 0, alone=alone), return_exceptions=True
            )
            if isinstance(ended, list):
                return list(ended)
            if not isinstance(ended, Exception):
                raise ended
            away = isinstance(ended, ConnectionFailure)
            passing = away or isinstance(ended, _IndexedOtherwise)
            passing = passing or (isinstance(ended, PyMongoError) and is_passing(ended))
            if _now() >= until or (len(units) == 1 and not passing):
                return [refusal(ended) if isinstance(ended, DRIVER_ERRORS) else ended for _ in units]
            await self._pause(tries)
            tries += 1
            if len(units) > 1 and not away:
                return await self._in_halves(units, until, tries)

    async def _in_halves(
        self, units: Sequence[Unit], until: float, tries: int
    ) -> list[Outcome | BaseException]:
        half = len(units) // 2
        first, second = await asyncio.gather(
            self._together(units[:half], until, tries, alone=False),
            self._together(units[half:], until, tries, alone=False),
        )
        return first + second

    async def _attempt(
        self, units: Sequence[Unit], until: float, *, again: bool, alone: bool
    ) -> list[Outcome]:
        """Raises what the driver raises as long as nothing has been committed."""
        async with (
            self._watermark.writing() as stamp,
            self._shards.borrow() as chain,
            self._database.transaction(until - _now()) as session,
        ):
            gone: Sequence[Moved | None] = ()
            if any(unit.conditions for unit in units):
                # First of all: what the transaction sees is settled by what it does first.
                await touch(self._database, units, session, limits=self._limits)
                gone = await moved(self._database, units, session, limits=self._limits)
            keys = [str(write.key) for unit in units for write in unit.writes if again or not write.fresh]
            indexed = {unit.indexed for unit in units if unit.indexed is not None}
            if indexed and (keys or again):
                keys.append(EPOCH_ID)
            currents = await self._currents(session, keys)
            if indexed and keys:
                gone = _indexed_otherwise(units, gone, epoch_of(currents.pop(EPOCH_ID, None)).indexed)
            plan = await result_in_slices(
                self._planner.plan(units, currents, stamp.taken(), gone, alone=alone)
            )
            if plan.is_empty:
                return plan.outcomes
            links = [link async for link in in_slices(chain.links(plan.records))]
            await self._write(session, plan, links, set() if keys else indexed)
            if (error := await self._commit(session, until, stamp)) is not None:
                return [refusal(error) if isinstance(left, list) else left for left in plan.outcomes]
            chain.ends_with(links)
            return plan.outcomes

    async def _currents(self, session: AsyncClientSession, keys: Sequence[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        keys = sorted(keys)
        size = self._limits.insert_batch_documents_max
        for some in [keys[start : start + size] for start in range(0, len(keys), size)]:
            cursor = self._database.resources.find({"_id": {"$in": some}}, session=session)
            found.update({fields["_id"]: fields for fields in await cursor.to_list()})
        weight = sum(map(weight_of, found.values()))
        if weight > self._limits.transaction_bytes_max:
            raise TooLarge(
                f"What the writes replace has {weight} bytes, the limit is "
                f"{self._limits.transaction_bytes_max}"
            )
        await put_back(self._database.bodies, found.values(), session)
        return found

    async def _write(
        self, session: AsyncClientSession, plan: Plan, links: Sequence[Link], unasked: set[int]
    ) -> None:
        """`unasked` are the epochs by which it was indexed, when they have not been looked at."""
        database = self._database
        # What others may be writing too comes first, so that a conflict shows before much is done.
        await self._insert(database.resources, plan.inserted, session)
        await self._replace(plan.replaced, session)
        await self._insert(database.bodies, plan.bodies, session)
        await self._insert(database.history, plan.superseded, session)
        documents = itertools.starmap(link_document, zip(plan.records, links, strict=True))
        # By now the transaction has begun: whoever moves the epoch after this look waits for its end.
        looking = self._require_indexed(unasked) if unasked else None
        if looking is not None and plan.inserted:
            await _both(self._insert(database.ledger, documents, session), looking)
        else:
            await self._insert(database.ledger, documents, session)
            if looking is not None:
                await looking
        if plan.search_parameters:
            await declare(database, session, plan.search_parameters)
        if plan.consents_inserted or plan.consents_replaced:
            # The epoch comes last: everyone who changes a Consent touches it.
            epoch = await next_epoch(database, session)
            for fields in (*plan.consents_inserted, *plan.consents_replaced):
                fields["ce"] = epoch
            await self._insert(database.resources, plan.consents_inserted, session)
            await self._replace(plan.consents_replaced, session)

    async def _require_indexed(self, expected: set[int]) -> None:
        """Raises Moved unless the database's epoch is the one expected."""
        fields = await self._database.resources.find_one({"_id": EPOCH_ID}, {"i": 1})
        if expected != {epoch_of(fields).indexed}:
            raise _IndexedOtherwise

    async def _replace(self, documents: Sequence[Document], session: AsyncClientSession) -> None:
        for some in self._batches(documents):
            await self._database.resources.bulk_write(
                [ReplaceOne({"_id": fields["_id"]}, fields) for fields in some], session=session
            )

    async def _insert(
        self, collection: Collection, documents: Iterable[Document], session: AsyncClientSession
    ) -> None:
        for some in self._batches(documents):
            await collection.insert_many(some, session=session)

    def _batches(self, documents: Iterable[Document]) -> Iterator[list[Document]]:
        """A few at a time: the driver writes them as BSON in one go, and others wait meanwhile."""
        limits = self._limits
        some: list[Document] = []
        weight = 0
        for fields in documents:
            some.append(fields)
            weight += len(fields.get("body") or b"")
            if len(some) >= limits.insert_batch_documents_max or weight >= limits.insert_batch_bytes_max:
                yield some
                some, weight = [], 0
        if some:
            yield some

    async def _commit(self, session: AsyncClientSession, until: float, stamp: Stamp) -> PyMongoError | None:
        """None when committed, the error when that is not known. Raises when it was not."""
        tries = 0
        stamp.is_committing = True
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                if error.has_error_label("TransientTransactionError"):
                    stamp.is_committing = False
                    raise
                if not is_commit_unknown(error) or _now() >= until:
                    return error
                await self._pause(tries)
                tries += 1
            else:
                stamp.is_committing = False
                return None

    async def _pause(self, tries: int) -> None:
        longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2**tries)
        await asyncio.sleep(longest * self._random.random())


class _IndexedOtherwise(Moved):
    """Some unit was: which, the next attempt finds out, since it reads the epoch in its transaction."""


async def _both(one: Awaitable[None], other: Awaitable[None]) -> None:
    """Raises what either raises, when both have ended."""
    for ended in await asyncio.gather(one, other, return_exceptions=True):
        if ended is not None:
            raise ended


def _indexed_otherwise(
    units: Sequence[Unit], gone: Sequence[Moved | None], indexed: int
) -> Sequence[Moved | None]:
    """`gone`, and Moved for each unit that was indexed at another epoch."""
    before = gone or [None] * len(units)
    return [
        Moved() if unit.indexed not in (None, indexed) else moved
        for unit, moved in zip(units, before, strict=True)
    ]


def _now() -> float:
    """Monotonic: how long, never what time it is."""
    return asyncio.get_running_loop().time()
