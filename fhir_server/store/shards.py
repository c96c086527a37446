"""
Who may append to which chain of the ledger.

A shard has one writer at a time: a lease in the database, by the database's own clock. A process
takes over a shard whose lease has lapsed and continues its chain from the last link, and only
makes a new shard when there is none. Within a process a chain is lent to one group at a time.

The lease is for order; what makes a fork impossible is the `_id` of a link, its shard and
position: a process that slept over its lease and still believes it owns a shard meets a taken
`_id`, and nothing that it wanted to write with it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from audit.chain import Head, Link, head_of, link, start_of
from audit.record import Record
from fhir_server.store.database import Database
from fhir_server.store.documents import EPOCH, Document
from fhir_server.store.limits import StoreLimits

SHARD_DIGITS: Final = 6
POSITION_DIGITS: Final = 12
RELEASE_SECONDS_MAX: Final = 2.0


@dataclass(slots=True)
class Chain:
    """
    A shard that is ours for now, and where it ends.

    `known` is false from the moment links are made until it is learnt what became of them: a chain
    whose end is not known is read again before it is lent.
    """

    head: Head
    known: bool = False

    def links(self, records: Iterable[Record]) -> Iterator[Link]:
        """What is about to be appended, one after the other; say afterwards what it `ends_with`."""
        self.known = False
        head = self.head
        for record in records:
            item = link(record, shard=head.shard, position=head.position + 1, previous=head.hash)
            yield item
            head = head_of(item)

    def ends_with(self, links: Sequence[Link]) -> None:
        """These have been appended; none, when what they were made for was given up."""
        self.head = head_of(links[-1]) if links else self.head
        self.known = True


def link_id(shard: str, position: int) -> str:
    """The `_id` of a link: of one shard they sort by position."""
    return f"{shard}.{position:0{POSITION_DIGITS}d}"


class Shards:
    """The chains of one process."""

    def __init__(self, database: Database, *, owner: str, limits: StoreLimits) -> None:
        self._database = database
        self._owner = owner
        self._lease_seconds = limits.lease_seconds
        self._free = asyncio.Semaphore(limits.shards_max)
        self._idle: list[Chain] = []

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Chain]:
        """A chain for one group: whoever borrows it is alone with it."""
        async with self._free:
            chain = await self._taken()
            try:
                yield chain
            finally:
                self._idle.append(chain)

    async def renew_for_ever(self) -> None:
        """Keeps the leases, until cancelled. A failure is not an end: `_id` fences, leases order."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            with contextlib.suppress(PyMongoError):
                await self._database.shards.update_many({"owner": self._owner}, [{"$set": self._until()}])

    async def release(self) -> None:
        """Leaves all shards to whoever comes next; if that cannot be said, the leases lapse."""
        self._idle.clear()
        with contextlib.suppress(PyMongoError), pymongo.timeout(RELEASE_SECONDS_MAX):
            await self._database.shards.update_many({"owner": self._owner}, {"$set": _UNOWNED})

    async def _taken(self) -> Chain:
        while self._idle:
            # The last one used first: few shards are in use when there is little to do.
            chain = self._idle.pop()
            if chain.known or await self._is_read_again(chain):
                return chain
        chain = Chain(start_of(await self._lapsed() or await self._new()))
        await self._is_read_again(chain)
        return chain

    async def _is_read_again(self, chain: Chain) -> bool:
        """Where the chain really ends; False when the shard is no longer ours."""
        shard = chain.head.shard
        try:
            if await self._database.shards.find_one({"_id": shard, "owner": self._owner}) is None:
                return False
            last = await self._database.ledger.find_one(
                {"_id": {"$gt": f"{shard}.", "$lt": f"{shard}/"}},
                {"position": 1, "hash": 1},
                sort=[("_id", -1)],
            )
        except BaseException:
            self._idle.append(chain)
            raise
        chain.head = Head(shard, last["position"], last["hash"]) if last else start_of(shard)
        chain.known = True
        return True

    async def _lapsed(self) -> str | None:
        lapsed = {"owner": {"$ne": self._owner}, "$expr": {"$lt": ["$until", "$$NOW"]}}
        taken = await self._database.shards.find_one_and_update(
            lapsed,
            [{"$set": {"owner": self._owner, **self._until()}}],
            sort=[("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return taken["_id"] if taken else None

    async def _new(self) -> str:
        while True:
            last = await self._database.shards.find_one({}, sort=[("_id", -1)])
            shard = f"{int(last['_id']) + 1 if last else 1:0{SHARD_DIGITS}d}"
            try:
                await self._database.shards.insert_one({"_id": shard, **_UNOWNED})
            except DuplicateKeyError:
                continue
            if (taken := await self._lapsed()) is not None:
                return taken

    def _until(self) -> Document:
        return {"until": {"$add": ["$$NOW", int(self._lease_seconds * 1000)]}}


_UNOWNED: Final[Document] = {"owner": None, "until": EPOCH}
