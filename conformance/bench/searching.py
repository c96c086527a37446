"""
Searches of one patient's record, 20 hits each, against the same query by the raw driver.

The same query is the one that the server really sends: MongoDB's profiler writes it down, once, while
nothing is measured.

https://hl7.org/fhir/R4/search.html, https://www.mongodb.com/docs/manual/reference/database-profiler/
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from conformance.bench import raw as driver
from conformance.bench.bare import bare_server
from conformance.bench.figures import Comparison, Goal
from conformance.bench.raw import Document
from conformance.bench.rounds import Rounds, Run, all_in_turns
from conformance.bench.scene import Scene
from conformance.bench.wire import drive

SEARCHES: Final = Goal(0.5)
HITS: Final = 20
PATIENTS_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """`query` with `{patient}` for the patient; `token` is what its matches have, for finding patients."""

    what: str
    query: str
    tokens: tuple[str, ...]


ASKED: Final = (
    Asked(
        "search: laboratory results, newest first",
        "Observation?patient={patient}&category=laboratory&_sort=-date&_count=20",
        ("Observation|category|laboratory",),
    ),
    Asked(
        "search: pulse and blood pressure, newest first",
        "Observation?patient={patient}&code=8867-4,85354-9&_sort=-date&_count=20",
        ("Observation|code|8867-4", "Observation|code|85354-9"),
    ),
    Asked(
        "search: everything observed, in order of creation",
        "Observation?subject=Patient/{patient}&_count=20",
        ("Observation",),
    ),
)


async def searches(scene: Scene) -> AsyncIterator[Comparison]:
    """One comparison for each search."""
    for asked in ASKED:
        patients = await _patients(scene, asked)
        requests = [
            scene.server.address.request("GET", asked.query.format(patient=patient)) for patient in patients
        ]
        sent = await _sent(scene, requests)
        mine, driven, served = await _compared(scene, requests, sent)
        yield Comparison(asked.what, "the same find", Rounds(mine, driven), SEARCHES)
        yield Comparison(asked.what, "the same find by a bare HTTP server", Rounds(mine, served), None)


async def _compared(scene: Scene, requests: list[bytes], sent: list[Document]) -> list[tuple[Run, ...]]:
    resources = scene.raw.served["resources"]

    async def find(command: Document) -> None:
        await resources.find(
            command["filter"],
            command.get("projection"),
            sort=list(command["sort"].items()),
            limit=command["limit"],
            batch_size=command.get("batchSize", 0),
        ).to_list()

    async def ours() -> Run:
        return await scene.ask("search", itertools.cycle(requests))

    async def raw() -> Run:
        items = scene.options.allowance.of(itertools.cycle(sent))
        return await driver.drive(items, find, in_flight=scene.options.in_flight)

    async with bare_server(scene.server.mongodb_url, sent) as bare:

        async def plain() -> Run:
            asked = itertools.cycle([bare.request("GET", f"search/{n}") for n in range(len(sent))])
            return await drive(bare, scene.options.allowance.of(asked), in_flight=scene.options.in_flight)

        return await all_in_turns(scene.options.rounds, ours, raw, plain)


async def _patients(scene: Scene, asked: Asked) -> list[str]:
    """The patients with most hits: all have more than a page, unless few patients are stored."""
    counted = await scene.raw.served["resources"].aggregate(
        [
            {"$match": {"tok": {"$in": list(asked.tokens)}}},
            {"$group": {"_id": "$pt", "hits": {"$sum": 1}}},
            {"$sort": {"hits": -1, "_id": 1}},
            {"$limit": PATIENTS_MAX},
        ]
    )
    found = [str(fields["_id"]) for fields in await counted.to_list()]
    scene.random.shuffle(found)
    return found


async def _sent(scene: Scene, requests: list[bytes]) -> list[Document]:
    """The `find` commands that the server sends for these requests, in their order."""
    served = scene.raw.served
    await served.command("profile", 2)
    await drive(scene.server.address, iter(requests), in_flight=1)
    await served.command("profile", 0)
    where = {"op": "query", "command.find": "resources", "command.limit": HITS + 1}
    profiled = await served["system.profile"].find(where, sort=[("$natural", 1)]).to_list()
    await served["system.profile"].drop()
    commands = [fields["command"] for fields in profiled]
    assert len(commands) == len(requests), "each search sends one find"
    return commands
