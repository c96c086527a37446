"""
The ledger: appended in groups, durable before anything is answered.

A document is one link of a chain: `_id` shard and position, `payload` (all that must be kept),
`hash`, and for searches `t` (ms since 1970), `tok` (indexed tokens), `attr` (plain ones) and
`events`, the number of AuditEvents that the record is seen as. Nothing here changes a link.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import PyMongoError

from audit.chain import Link
from audit.index import tokens_of
from audit.projection import event_count
from audit.record import Record, portions
from fhir_server.r4.errors import FhirError, Unavailable
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, milliseconds
from fhir_server.store.faults import costly, inserted_before, is_duplicate, refusal, translated
from fhir_server.store.grouping import Group
from fhir_server.store.ledger_filter import to_ledger_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.positions import Position, keyset
from fhir_server.store.shards import Shards, link_id

FENCED_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class LinkPage:
    """Some links, and where the next page begins; None when there are no more."""

    links: tuple[Link, ...]
    next: Position | None


def link_document(record: Record, link: Link) -> Document:
    """`link`, which was made of `record`, as it is stored."""
    indexed, plain = tokens_of(record)
    return {
        "_id": link_id(link.shard, link.position),
        "shard": link.shard,
        "position": link.position,
        "payload": link.payload,
        "hash": link.hash,
        "t": milliseconds(record.time),
        "tok": indexed,
        "attr": plain,
        "events": event_count(record),
    }


class Ledger:
    """Appends records and finds links."""

    def __init__(self, database: Database, shards: Shards, *, limits: StoreLimits) -> None:
        self._ledger = database.ledger
        self._leases = database.shards
        self._shards = shards
        self._limits = limits
        self._group: Group[Record, None] = Group(
            self._append, size_max=limits.record_group_max, groups_max=limits.record_groups_max
        )

    def append(self, record: Record) -> Awaitable[object]:
        """Returns when the record is durable. Raises Unavailable when that is not known."""
        first, *others = portions(record)
        if not others:
            return self._group.submit(first)
        return asyncio.gather(*map(self._group.submit, (first, *others)))

    async def drained(self) -> None:
        """Returns when all that was submitted is done."""
        await self._group.drained()

    async def _append(self, records: Sequence[Record]) -> Sequence[FhirError | None]:
        done = 0
        for _ in range(FENCED_MAX):
            try:
                done += await self._append_to_one(records[done:])
            except PyMongoError as error:
                return [None] * done + [refusal(error) for _ in records[done:]]
            if done == len(records):
                return [None] * done
        return [None] * done + [Unavailable("The audit ledger cannot be written") for _ in records[done:]]

    async def _append_to_one(self, records: Sequence[Record]) -> int:
        """How many were appended: all, unless another process has taken the shard."""
        async with self._shards.borrow() as chain:
            links = list(chain.links(records))
            documents = [link_document(*pair) for pair in zip(records, links, strict=True)]
            try:
                if len(documents) == 1:
                    # What is alone waits for it, and a batch of one costs the driver more.
                    await self._ledger.insert_one(documents[0])
                else:
                    await self._ledger.insert_many(documents)
            except PyMongoError as error:
                if not is_duplicate(error):
                    raise
                return inserted_before(error)
            chain.ends_with(links)
            return len(records)

    async def page(
        self, predicate: Predicate, *, newest_first: bool, after: Position | None, count: int
    ) -> LinkPage:
        """
        The links that may have events for which `predicate` is true, by time.

        A record over several patients is found by the tokens of all of them; who shows its events
        judges each by its own entry (audit/index.py).
        """
        direction = -1 if newest_first else 1
        where = to_ledger_filter(predicate)
        if after is not None:
            where = {"$and": [where, keyset("t", "_id", after, direction)]}
        with costly():
            found = await self._ledger.find(
                where,
                _LINK,
                sort=[("t", direction), ("_id", direction)],
                limit=count + 1,
                max_time_ms=self._limits.search_milliseconds_max,
            ).to_list()
        more = len(found) > count
        shown = found[:count]
        return LinkPage(
            tuple([_link(fields) for fields in shown]),
            Position(int(shown[-1]["t"]), shown[-1]["_id"]) if more and shown else None,
        )

    async def find(self, shard: str, position: int) -> Link | None:
        """One link."""
        with translated():
            fields = await self._ledger.find_one({"_id": link_id(shard, position)}, _LINK)
        return _link(fields) if fields else None

    async def shards(self) -> list[str]:
        """The names of all chains, also of those that nobody writes to now."""
        with translated():
            return [fields["_id"] async for fields in self._leases.find({}, sort=[("_id", 1)])]

    async def links(self, shard: str, *, after: int = 0) -> AsyncIterator[Link]:
        """The links of one shard from the one behind position `after`, in order."""
        with translated():
            where = {"_id": {"$gt": link_id(shard, after), "$lt": f"{shard}/"}}
            async for fields in self._ledger.find(where, _LINK, sort=[("_id", 1)]):
                yield _link(fields)


def _link(fields: Mapping[str, Any]) -> Link:
    return Link(fields["shard"], fields["position"], fields["payload"], fields["hash"])


_LINK: Final = {"shard": 1, "position": 1, "payload": 1, "hash": 1, "t": 1}
