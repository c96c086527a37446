"""
Writes: create, update, and transactions of many resources.

The raw driver writes the very documents that the server has written in the same round: the resource,
the version that it supersedes, the record. It does so without a transaction and without the server's
promise that they are there together or not at all.

https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, TypeVar

from conformance.bench import raw as driver
from conformance.bench.data import to_bundle, to_create
from conformance.bench.figures import Comparison, Goal
from conformance.bench.raw import Document
from conformance.bench.rounds import Run, in_turns
from conformance.bench.scene import Scene
from fhir_server.r4.resource import to_text

WRITES: Final = Goal(0.6)
BUNDLES: Final = Goal(0.3)
BODIES: Final = 1_000

Item = TypeVar("Item")


class Written:
    """What the server wrote in the round that is being measured."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._since = 0

    async def begin(self) -> None:
        self._since = await self._scene.raw.last_time()

    async def into(self, collection: str) -> list[Document]:
        return await self._scene.raw.written_after(collection, self._since)

    async def drive(self, items: list[Item], operation: Callable[[Item], Awaitable[object]]) -> Run:
        """All items, however long it takes: it is the same work."""
        return await driver.drive(iter(items), operation, in_flight=self._scene.options.in_flight)


async def creates(scene: Scene) -> AsyncIterator[Comparison]:
    """Each caller inserts a resource and its record; for information, a resource alone."""
    copy, written = scene.raw.copy, Written(scene)
    requests = [
        scene.server.address.request("POST", resource["resourceType"], to_text(resource))
        for resource in to_create(BODIES)
    ]
    bare: list[Run] = []

    async def insert(pair: tuple[Document, Document]) -> None:
        resource, record = pair
        await copy["resources"].insert_one(resource)
        await copy["ledger"].insert_one(record)

    async def ours() -> Run:
        await written.begin()
        return await scene.ask("create", itertools.cycle(requests), expected=frozenset({201}))

    async def raw() -> Run:
        resources, records = await written.into("resources"), await written.into("ledger")
        half = len(resources) // 2
        bare.append(await written.drive(resources[half:], copy["resources"].insert_one))
        pairs = list(zip(resources[:half], records, strict=False))
        return await written.drive(pairs, insert)

    rounds = await in_turns(scene.options.rounds, ours, raw)
    yield Comparison("create", "insert_one of resource and record", rounds, WRITES)
    yield Comparison("create", "insert_one of the resource alone", rounds.against(bare), None)


async def updates(scene: Scene) -> AsyncIterator[Comparison]:
    """Each caller inserts the superseded version, replaces the resource and inserts the record."""
    copy, written = scene.raw.copy, Written(scene)
    requests = await _updates(scene)

    async def replace(triple: tuple[Document, Document, Document]) -> None:
        older, newer, record = triple
        await copy["history"].insert_one(older)
        await copy["resources"].replace_one({"_id": newer["_id"]}, newer)
        await copy["ledger"].insert_one(record)

    async def ours() -> Run:
        await written.begin()
        return await scene.ask("update", requests)

    async def raw() -> Run:
        newer = {document["_id"]: document for document in await written.into("resources")}
        older = {_current(document): document for document in await _superseded(scene, list(newer))}
        records = await written.into("ledger")
        triples = [
            (older[key], document, record)
            for (key, document), record in zip(newer.items(), records, strict=False)
        ]
        return await written.drive(triples, replace)

    rounds = await in_turns(scene.options.rounds, ours, raw)
    yield Comparison("update", "history, replace_one, record", rounds, WRITES)


async def bundles(scene: Scene) -> AsyncIterator[Comparison]:
    """Each caller inserts the resources and records of a Bundle with one `insert_many` each."""
    copy, written = scene.raw.copy, Written(scene)
    unsent = to_bundle()
    alone: list[Run] = []

    async def ours() -> Run:
        sending = list(itertools.islice(unsent, scene.options.in_flight))
        await written.begin()
        requests = (scene.server.address.request("POST", "", bundle.text) for bundle in sending)
        run = await scene.ask("bundle", requests)
        entries = sum(bundle.entries for bundle in sending[: len(run.latencies_ms)])
        scene.used["bundle"].units += entries - len(run.latencies_ms)
        return Run(run.seconds, run.latencies_ms, entries)

    async def insert_both(bundle: tuple[list[Document], list[Document]]) -> None:
        resources, records = bundle
        await copy["resources"].insert_many(resources)
        await copy["ledger"].insert_many(records)

    async def raw() -> Run:
        written_now = _by_patient(await written.into("resources"))
        records = iter(await written.into("ledger"))
        half = len(written_now) // 2
        alone.append(await _counted(written_now[half:], written, copy["resources"].insert_many))
        pairs = [(some, list(itertools.islice(records, len(some) + 1))) for some in written_now[:half]]
        run = await written.drive(pairs, insert_both)
        return Run(run.seconds, run.latencies_ms, sum(map(len, written_now[:half])))

    rounds = await in_turns(scene.options.rounds, ours, raw)
    yield Comparison("Bundle resources", "insert_many of resources and records", rounds, BUNDLES)
    yield Comparison("Bundle resources", "insert_many of the resources alone", rounds.against(alone), None)


async def _counted(
    items: list[list[Document]], written: Written, operation: Callable[[list[Document]], Awaitable[object]]
) -> Run:
    run = await written.drive(items, operation)
    return Run(run.seconds, run.latencies_ms, sum(map(len, items)))


async def _updates(scene: Scene) -> Iterator[bytes]:
    """Requests that change each resource once; as it was stored, but for its language."""
    stored = scene.raw.served["resources"].find({"_id": {"$in": scene.keys}}, {"body": 1})
    bodies = {fields["_id"]: bytes(fields["body"]) for fields in await stored.to_list()}
    address = scene.server.address
    return (
        address.request("PUT", key, bodies[key].replace(b"{", b'{"language":"en",', 1)) for key in scene.keys
    )


async def _superseded(scene: Scene, keys: list[str]) -> list[Document]:
    wanted = {"_id": {"$in": [f"{key}/{1:010d}" for key in keys]}}
    return await scene.raw.served["history"].find(wanted).to_list()


def _current(superseded: Document) -> str:
    return str(superseded["_id"]).rpartition("/")[0]


def _by_patient(resources: list[Document]) -> list[list[Document]]:
    grouped: dict[str, list[Document]] = {}
    for document in resources:
        grouped.setdefault(document.get("pt", ""), []).append(document)
    return list(grouped.values())
