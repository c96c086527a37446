"""
One search after the other, each alone: how long it takes over HTTP, and what it looks at by `_explain`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import quote

import msgspec
from pymongo.asynchronous.database import AsyncDatabase

from conformance.bench.raw import Document
from conformance.bench.rounds import Run
from conformance.bench.search.asked import EXAMINED_MAX, PAGE, Asked
from conformance.bench.wire import Address, Answer, UnexpectedAnswer, drive

EXPLAINED_MAX: Final = 5
"""Of one kind of search: the worst of them is reported."""

PATIENTS_MAX: Final = 40
RECORD_NUMBER: Final = "Patient|identifier|http://synthetic.example.org/mrn/"
P95_MS_MAX: Final = 50.0


@dataclass(frozen=True, slots=True)
class People:
    """Ids and record numbers (`system|value`) of some patients, in turn."""

    ids: tuple[str, ...]
    identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Examined:
    """One search explained: all stages together."""

    keys: int
    documents: int
    returned: int

    @property
    def limit(self) -> int:
        """As many may be looked at."""
        return EXAMINED_MAX * max(self.returned, PAGE)

    @property
    def is_within(self) -> bool:
        return max(self.keys, self.documents) <= self.limit


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one kind of search: `matches` of its first query; `refused` is why, where it was."""

    asked: Asked
    matches: int | None
    run: Run | None
    examined: Examined | None
    refused: str | None = None


async def people_of(database: AsyncDatabase[Document], random: Random) -> People:
    """Some patients, drawn by `random`."""
    found = await database["resources"].find({"ty": "Patient"}, {"tok": 1}, sort=[("_id", 1)]).to_list()
    some = random.sample(found, min(PATIENTS_MAX, len(found)))
    numbers = [
        token.removeprefix("Patient|identifier|")
        for fields in some
        for token in fields["tok"]
        if token.startswith(RECORD_NUMBER)
    ]
    return People(tuple(str(fields["_id"]).partition("/")[2] for fields in some), tuple(numbers))


async def measured(address: Address, asked: Asked, people: People, requests: int) -> Measured:
    """Asks what is asked, `requests` times, one at a time; once beforehand, so that nothing is read cold."""
    queries = list(dict.fromkeys(itertools.islice(_queries(asked, people), requests)))
    try:
        examined = [await _examined(address, query) for query in queries[:EXPLAINED_MAX]]
        warm = iter([address.request("GET", query) for query in queries])
        await drive(address, warm, in_flight=1)
        wanted = [
            address.request("GET", query) for query in itertools.islice(_queries(asked, people), requests)
        ]
        run = await drive(address, iter(wanted), in_flight=1)
    except UnexpectedAnswer as refusal:
        return Measured(asked, None, None, None, str(refusal)[:160])
    return Measured(asked, await _matches(address, queries[0]), run, max(examined, key=_weight))


def _weight(examined: Examined) -> float:
    return max(examined.keys, examined.documents) / examined.limit


def _queries(asked: Asked, people: People) -> Iterator[str]:
    """Without end, the query with one value after the other."""
    drawn = zip(
        itertools.cycle(asked.values), itertools.cycle(people.ids), itertools.cycle(people.identifiers)
    )
    for value, patient, identifier in drawn:
        query = asked.query.format(value=value, patient=patient, identifier=identifier)
        yield quote(query, safe="?&=:$,./_-|").replace("|", "%7C")


async def _examined(address: Address, query: str) -> Examined:
    found = await _answered(address, query)
    told = await _answered(address, f"{query}&_explain=true")
    [total] = [one["part"] for one in told["parameter"] if one["name"] == "total"]
    figures = {part["name"]: part.get("valueUnsignedInt", 0) for part in total}
    return Examined(figures["keysExamined"], figures["documentsExamined"], len(found.get("entry", ())))


async def _matches(address: Address, query: str) -> int | None:
    """How many there are; None when they are too many to be counted in the time that a search has."""
    head, _, rest = query.partition("?")
    kept = [one for one in rest.split("&") if not one.startswith(("_count=", "_sort=", "_revinclude="))]
    try:
        counted = await _answered(address, f"{head}?{'&'.join(kept)}&_summary=count")
    except UnexpectedAnswer:
        return None
    return int(counted["total"])


async def _answered(address: Address, query: str) -> dict[str, Any]:
    answers: list[Answer] = []
    await drive(address, iter([address.request("GET", query)]), in_flight=1, seen=answers.append)
    body: dict[str, Any] = msgspec.json.decode(answers[0].body)
    return body
