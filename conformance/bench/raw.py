"""
What we are measured against: the same MongoDB, asked by the driver alone.

Reads and searches go to the server's own collection. Writes go to a copy of its collections in another
database, with the same documents and the same indexes, so that both sides pay for the same trees.
Everything is majority-committed and journaled, as the server has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from conformance.bench.rounds import Run

Item = TypeVar("Item")
Document = dict[str, Any]
Collection = AsyncCollection[Document]

SERVED: Final = "fhir"
COPIED: Final = ("resources", "history", "ledger")


@dataclass(frozen=True, slots=True)
class Raw:
    """`served` is the server's database, `copy` what the raw driver writes to."""

    served: AsyncDatabase[Document]
    copy: AsyncDatabase[Document]

    async def last_time(self) -> int:
        """When the server wrote last, in milliseconds since 1970: each write has a record."""
        last = await self.served["ledger"].find_one({}, {"t": 1}, sort=[("t", -1)])
        return int(last["t"]) if last else 0

    async def written_after(self, collection: str, milliseconds: int) -> list[Document]:
        """What the server has written to a collection since, in the order of time."""
        found = self.served[collection].find({"t": {"$gt": milliseconds}}, sort=[("t", 1)])
        return await found.to_list()

    async def copy_all(self) -> None:
        """Make the copy: the server's documents, then its indexes."""
        for name in COPIED:
            await self.copy.drop_collection(name)
            await self.copy.create_collection(name)
            to = {"db": self.copy.name, "coll": name}
            await (await self.served[name].aggregate([{"$out": to}])).to_list()
            async for index in await self.served[name].list_indexes():
                if index["name"] != "_id_":
                    options = {
                        key: index[key]
                        for key in ("name", "sparse", "partialFilterExpression")
                        if key in index
                    }
                    await self.copy[name].create_index(list(index["key"].items()), **options)


@asynccontextmanager
async def raw_driver(url: str) -> AsyncIterator[Raw]:
    """The driver at `url`, with the durability of the server."""
    async with AsyncMongoClient[Document](url) as client:
        durable: dict[str, Any] = {
            "write_concern": WriteConcern("majority", j=True),
            "read_concern": ReadConcern("majority"),
        }
        yield Raw(client.get_database(SERVED, **durable), client.get_database("bench", **durable))


async def drive(
    items: Iterator[Item], operation: Callable[[Item], Awaitable[object]], *, in_flight: int
) -> Run:
    """Do all operations, `in_flight` callers each doing one at a time."""
    latencies: list[float] = []

    async def caller() -> None:
        for item in items:
            began = time.perf_counter()
            await operation(item)
            latencies.append((time.perf_counter() - began) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return Run(time.perf_counter() - started, tuple(latencies))
