"""
Reads: many at a time, and one alone.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Final

from conformance.bench import raw as driver
from conformance.bench.bare import bare_server
from conformance.bench.figures import Comparison, Goal
from conformance.bench.raw import Document
from conformance.bench.rounds import Rounds, Run, all_in_turns, in_turns
from conformance.bench.scene import Scene
from conformance.bench.wire import drive

READS: Final = Goal(2.0)
LONE: Final = Goal(1.5, at_least=False)
KEYS_MAX: Final = 5_000
RECORDS_MAX: Final = 20_000


async def reads(scene: Scene) -> AsyncIterator[Comparison]:
    """Audited, authorised reads against one `find_one` for each."""
    keys = scene.keys[:KEYS_MAX]
    requests = [scene.server.address.request("GET", key) for key in keys]
    resources = scene.raw.served["resources"]

    async def find(key: str) -> None:
        assert await resources.find_one({"_id": key}) is not None

    async def ours() -> Run:
        return await scene.ask("read", itertools.cycle(requests))

    async def raw() -> Run:
        items = scene.options.allowance.of(itertools.cycle(keys))
        return await driver.drive(items, find, in_flight=scene.options.in_flight)

    async with bare_server(scene.server.mongodb_url, ()) as bare:

        async def plain() -> Run:
            asked = itertools.cycle([bare.request("GET", key) for key in keys])
            return await drive(bare, scene.options.allowance.of(asked), in_flight=scene.options.in_flight)

        mine, driven, served = await all_in_turns(scene.options.rounds, ours, raw, plain)
    yield Comparison("read", "find_one", Rounds(mine, driven), READS)
    yield Comparison("read", "find_one by a bare HTTP server", Rounds(mine, served), None)


async def lone_reads(scene: Scene) -> AsyncIterator[Comparison]:
    """One audited read at a time against a `find_one`, then an `insert_one` of such a record."""
    keys = scene.keys[:KEYS_MAX]
    requests = [scene.server.address.request("GET", key) for key in keys]
    resources, ledger = scene.raw.served["resources"], scene.raw.copy["ledger"]
    records = _records(
        await scene.raw.served["ledger"].find({}, limit=RECORDS_MAX, sort=[("t", -1)]).to_list()
    )

    async def find_and_record(item: tuple[str, Document]) -> None:
        key, record = item
        assert await resources.find_one({"_id": key}) is not None
        await ledger.insert_one(record)

    async def ours() -> Run:
        return await scene.ask("lone read", itertools.cycle(requests), in_flight=1)

    async def raw() -> Run:
        pairs = zip(itertools.cycle(keys), records, strict=False)
        return await driver.drive(scene.options.allowance.of(pairs), find_and_record, in_flight=1)

    rounds = await in_turns(scene.options.rounds, ours, raw)
    yield Comparison("lone read", "find_one + insert_one", rounds, LONE, "median")


def _records(found: list[Document]) -> Iterator[Document]:
    """Without end, records as the server writes them, each with an `_id` of its own."""
    for number, record in enumerate(itertools.cycle(found)):
        yield {**record, "_id": f"bench.{number:012d}", "shard": "bench", "position": number}
