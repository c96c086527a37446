"""
Up to when all writes are known.

A write is stamped (meta.lastUpdated) before it commits, and not in the order of commits. Who goes on from
the last stamp it saw misses nothing only if it was shown nothing newer than the *watermark*: all that was
stamped before it has been committed, or never will be.

Each process has a document in `writers`. While it writes, its `floor` says what its uncommitted stamps are
not below, moved up every PUBLISHED_SECONDS beside the writes, which wait for none of it. While it rests it
has no floor, and costs nothing; the next write waits until it has one. A reader pushes up the `least` of who
rests, below which it will not stamp then, so that clocks that disagree do no harm.

A process that is gone is forgotten when its transactions have been ended (sessions.py), or after
`writer_lease_seconds`, which is longer than MongoDB lets a transaction live: one that slept for as long
finds its own aborted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from fhir_server.store.database import Database
from fhir_server.store.documents import Document, milliseconds, moment
from fhir_server.store.faults import translated
from fhir_server.store.limits import StoreLimits

PUBLISHED_SECONDS: Final = 0.02
RESTING_SECONDS: Final = 1.0
"""Without a write for so long a process rests."""

UNKNOWN_SECONDS: Final = 60.0
"""A transaction whose end is not known has one after so long: transactionLifetimeLimitSeconds."""

SETTLING_SECONDS: Final = 0.005
AGAIN_SECONDS: Final = 0.5

Clock = Callable[[], datetime]


class Stamp:
    """The stamp of one transaction, from before it is taken until its end is known."""

    def __init__(self, watermark: Watermark) -> None:
        self._watermark = watermark
        self.milliseconds: int | None = None
        self.is_committing = False

    def taken(self) -> datetime:
        """The time that its writes bear."""
        now = self._watermark.stamped()
        self.milliseconds = milliseconds(now)
        return now


class Watermark:
    """What one process has uncommitted, and what it knows of the others."""

    def __init__(self, database: Database, *, owner: str, app_name: str, limits: StoreLimits, clock: Clock):
        self._writers = database.writers
        self._own = {"_id": owner}
        self._app_name = app_name
        self._lease_seconds = limits.writer_lease_seconds
        self._clock = clock
        self._stamps: set[Stamp] = set()
        self._least = 0
        self._floor: int | None = None
        self._ended = 0
        self._used = asyncio.Event()
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Stamp]:
        """Around one transaction, from before its stamp is taken until its end is known."""
        stamp = Stamp(self)
        self._stamps.add(stamp)
        try:
            if self._floor is None:
                await self._begin()
            yield stamp
        finally:
            if stamp.is_committing:
                asyncio.get_running_loop().call_later(UNKNOWN_SECONDS, self._stamps.discard, stamp)
            else:
                self._stamps.discard(stamp)
            self._ended = milliseconds(self._clock())
            self._used.set()

    def stamped(self) -> datetime:
        """The time, never below what was promised."""
        now = milliseconds(self._clock())
        return self._clock() if now >= self._least else moment(self._least)

    async def now(self) -> int:
        """Milliseconds since 1970: all that was stamped before is committed, or never will be."""
        mine = self._promised(milliseconds(self._clock()) + 1)
        with translated():
            floors, rested = await self._others()
            if any(least < mine for least in rested):
                resting = {"_id": {"$ne": self._own["_id"]}, "floor": None}
                await self._writers.update_many(resting, {"$max": {"least": mine}})
                floors, _ = await self._others()
        return min([mine, *floors])

    async def is_past(self, moment: int, *, seconds: float) -> bool:
        """Waits until the watermark is past it, `seconds` at most."""
        until = asyncio.get_running_loop().time() + seconds
        while await self.now() <= moment:
            if asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(SETTLING_SECONDS)
        return True

    async def was_at_rest(self, since: int) -> bool:
        """Has nobody written since that time, by the clocks of those who could have?"""
        if self._stamps or self._ended >= since:
            return False
        with translated():
            others = self._others_where() | {"$or": [{"floor": {"$ne": None}}, {"rested": {"$gte": since}}]}
            return await self._writers.find_one(others, {"_id": 1}) is None

    async def register(self) -> None:
        """Make this process known to the others."""
        with translated():
            await self._publish(None)

    async def release(self) -> None:
        """Nothing will be written any more."""
        with contextlib.suppress(PyMongoError):
            await self._writers.delete_one(self._own)

    async def publish_for_ever(self) -> None:
        """Moves the floor up while there are writes, and keeps the lease; until cancelled."""
        while True:
            if self._floor is None:
                # Not `wait_for`: it may overlook that it was cancelled.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._lease_seconds / 3):
                        await self._used.wait()
            else:
                await asyncio.sleep(PUBLISHED_SECONDS)
            try:
                await self._moved_up()
            except PyMongoError:
                # What others believe holds them back, never on: it is put right as soon as it can be.
                self._used.set()
                await asyncio.sleep(AGAIN_SECONDS)

    async def _moved_up(self) -> None:
        async with self._changing:
            self._used.clear()
            clock = milliseconds(self._clock())
            resting = not self._stamps and clock - self._ended > RESTING_SECONDS * 1000
            if self._floor is None or resting:
                # Whoever begins to write from here on waits for the lock.
                self._floor = None
                await self._publish(None)
            else:
                self._floor = self._promised(clock)
                await self._publish(self._floor)

    async def _begin(self) -> None:
        """Have a floor before a stamp is taken."""
        async with self._changing:
            if self._floor is not None:
                return
            floor = milliseconds(self._clock())
            found = await self._publish(floor)
            self._least = max(self._least, floor, found.get("least", 0))
            self._ended = floor
            self._floor = floor
            self._used.set()

    def _promised(self, most: int) -> int:
        """What uncommitted stamps are not below, now and later: `most`, or the oldest there is."""
        taken = [stamp.milliseconds for stamp in self._stamps if stamp.milliseconds is not None]
        floor = min([most, *taken])
        self._least = max(self._least, floor)
        return floor

    async def _publish(self, floor: int | None) -> Document:
        until = {"$add": ["$$NOW", int(self._lease_seconds * 1000)]}
        fields: Document = {"app": {"$literal": self._app_name}, "floor": floor, "until": until}
        if floor is None:
            fields["rested"] = self._ended
        found = await self._writers.find_one_and_update(
            self._own, [{"$set": fields}], upsert=True, return_document=ReturnDocument.AFTER
        )
        assert found is not None, "an upsert leaves a document"
        return found

    async def _others(self) -> tuple[list[int], list[int]]:
        """The floors of those that write, and what those that rest have promised."""
        found = await self._writers.find(self._others_where(), {"floor": 1, "least": 1}).to_list()
        return (
            [fields["floor"] for fields in found if fields["floor"] is not None],
            [fields.get("least", 0) for fields in found if fields["floor"] is None],
        )

    def _others_where(self) -> Document:
        return {"_id": {"$ne": self._own["_id"]}, "$expr": {"$gte": ["$until", "$$NOW"]}}


async def forget(database: Database, where: Document) -> None:
    """Processes that are gone, and whose transactions have been ended."""
    await database.writers.delete_many(where)
