"""
Who turns pages while others create, update and delete meets each match once, in whatever order.

With `--walk-matches 20000` there are 20,000 matches; a sort in memory has as many as it may.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import pytest

from tests.server.running import a_patient, an_observation
from tests.server.test_gate import a_consent
from tests.simulation.raced import Raced
from tests.simulation.walks import ALWAYS, Change, Page, Timeline, Walk, flaws

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")

WRITERS: Final = 8
READERS: Final = 4
PATIENTS: Final = 40
REVOKED: Final = 4
"""Patients who deny access while pages are turned; what is about them is written by nobody."""

SORTED_MAX: Final = 4_000
LOADED_AT_ONCE: Final = 50
WALKED: Final = {"coding": [{"system": "urn:example", "code": "walk"}]}
ELSE: Final = {"coding": [{"system": "urn:example", "code": "else"}]}
ORDERS: Final = ("", "&_sort=_lastUpdated", "&_sort=-_lastUpdated", "&_sort=-date", "&_sort=value-string")


@pytest.fixture
def walk_matches(request: pytest.FixtureRequest) -> int:
    """How many matches there are to walk through."""
    asked: int = request.config.getoption("walk_matches")
    return asked


def a_page(sent: float, answered: float, *keys: str, without: str = "") -> Page:
    """Each match refers to `P/` and the last character of its key."""
    subjects = [f"P/{key[-1]}" for key in keys]
    return Page(sent, answered, tuple(zip(keys, subjects, strict=True)), frozenset(subjects) - {without})


THERE: Final = Change(ALWAYS, ALWAYS, matches=True)


@pytest.mark.parametrize(
    ("changes", "hidden", "pages", "flaw"),
    [
        ([THERE], None, [a_page(1, 2, "O/a"), a_page(3, 4)], ""),
        ([THERE], None, [a_page(1, 2), a_page(3, 4)], "does not come"),
        ([THERE], None, [a_page(1, 2, "O/a"), a_page(3, 4, "O/a")], "comes 2 times"),
        ([THERE], None, [a_page(1, 2, "O/a", without="P/a")], "without P/a"),
        ([THERE, Change(2, 5, matches=False)], None, [a_page(1, 3), a_page(6, 7)], ""),
        ([THERE, Change(2, 5, matches=False)], None, [a_page(1, 3), a_page(4, 7, "O/a")], ""),
        ([THERE, Change(2, 5, matches=False)], None, [a_page(1, 3), a_page(6, 7, "O/a")], "matched no more"),
        (
            [THERE, Change(2, 5, matches=False), Change(6, 8, matches=True)],
            None,
            [a_page(6, 7, "O/a")],
            "",
        ),
        ([THERE, Change(2, 5, matches=True)], None, [a_page(1, 3), a_page(4, 7)], "does not come"),
        ([Change(2, 5, matches=True)], None, [a_page(1, 3), a_page(4, 7)], ""),
        ([THERE], Change(2, 3, matches=False), [a_page(1, 3), a_page(4, 7)], ""),
        ([THERE], Change(2, 3, matches=False), [a_page(1, 3), a_page(4, 7, "O/a")], "was hidden"),
    ],
)
def test_the_checker_sees_what_is_not_as_it_must_be(
    changes: list[Change], hidden: Change | None, pages: list[Page], flaw: str
) -> None:
    known = {} if hidden is None else {"P/a": hidden}
    found = list(flaws(Walk("q", tuple(pages)), {"O/a": Timeline(changes)}, {"O/a": "P/a"}, known))
    assert bool(found) == bool(flaw), found
    assert all(flaw in each for each in found)


@dataclass
class World:
    """What is there, by who writes it. A key that is sorted in memory matches `status=amended`."""

    matches: int
    timelines: dict[str, Timeline] = field(default_factory=dict)
    in_memory: set[str] = field(default_factory=set)
    hidden: dict[str, Change] = field(default_factory=dict)
    ended: bool = False

    def __post_init__(self) -> None:
        self.numbers = itertools.count()

    def an_observation(self, random: Random, number: int, **stated: Any) -> dict[str, Any]:
        """Of the same patient and status whenever it is written."""
        amended = number % max(2, self.matches // SORTED_MAX + 1) == 0
        return an_observation(
            f"walked-{number % PATIENTS}",
            **{
                "id": f"walked-{number}",
                "status": "amended" if amended else "final",
                "code": WALKED,
                "effectiveDateTime": f"20{random.randrange(10, 25)}-0{random.randrange(1, 9)}",
                "valueString": random.choice("abcdefgh") * random.randrange(1, 4),
                **stated,
            },
        )

    def know(self, resource: dict[str, Any], change: Change) -> None:
        key = f"Observation/{resource['id']}"
        self.timelines.setdefault(key, Timeline()).add(change)
        if resource["status"] == "amended":
            self.in_memory.add(key)


def is_written(number: int) -> bool:
    """Those of the first patients are left alone."""
    return number % PATIENTS >= REVOKED


async def test_walks_meet_each_match_once(raced: Raced, walk_matches: int) -> None:
    world = World(walk_matches)
    async with raced.clients(WRITERS + READERS) as clients:
        await _load(clients[0], world)
        walks: list[Walk] = []
        async with asyncio.TaskGroup() as group:
            for n in range(WRITERS):
                group.create_task(_write(clients[n], n, world))
            reading = [
                asyncio.create_task(_read(clients[WRITERS + n], n, world, walks)) for n in range(READERS)
            ]
            revoking = group.create_task(_revoke(clients[0], world))
            await asyncio.gather(*reading)
            await revoking
            world.ended = True
    found = [flaw for walk in walks for flaw in _flaws(walk, world)]
    assert found == [], f"{len(found)} flaws of {len(walks)} walks: {found[:20]}"
    assert len(walks) == READERS * len(ORDERS) // 2
    assert all(len(walk.pages) > 2 for walk in walks)
    assert raced.workers_at_work("search-type") == {"worker-0", "worker-1"}


def _flaws(walk: Walk, world: World) -> Iterator[str]:
    keys = world.in_memory if "amended" in walk.query else world.timelines.keys()
    subjects = {
        f"Observation/walked-{number}": f"Patient/walked-{number % PATIENTS}"
        for number in range(next(world.numbers))
    }
    timelines = {key: world.timelines[key] for key in keys}
    return flaws(walk, timelines, subjects, world.hidden)


async def _load(client: httpx.AsyncClient, world: World) -> None:
    random = Random(0)
    for n in range(PATIENTS):
        await client.put(f"/Patient/walked-{n}", json=a_patient(id=f"walked-{n}"))
        await client.delete(f"/Consent/c-walked-{n}")
    for start in range(0, world.matches, LOADED_AT_ONCE):
        numbers = itertools.islice(world.numbers, min(LOADED_AT_ONCE, world.matches - start))
        resources = [world.an_observation(random, number) for number in numbers]
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"Observation/{one['id']}"}}
            for one in resources
        ]
        answer = await client.post(
            "", json={"resourceType": "Bundle", "type": "transaction", "entry": entries}
        )
        assert answer.status_code == 200, answer.text
        for one in resources:
            world.know(one, Change(ALWAYS, ALWAYS, matches=True))


async def _write(client: httpx.AsyncClient, n: int, world: World) -> None:
    """Its own ones: changed in what they are sorted by, changed so that they match no more, deleted, new."""
    random = Random(n)
    own = [number for number in range(world.matches) if number % WRITERS == n and is_written(number)]
    while not world.ended:
        dice = random.random()
        if dice < 0.15:
            number = next(world.numbers)
            if not is_written(number):
                continue
            own.append(number)
        else:
            number = random.choice(own)
        resource = world.an_observation(random, number)
        gone = 0.15 <= dice < 0.25
        if gone and random.random() < 0.5:
            await _timed(client, world, resource, deleted=True)
            continue
        if gone:
            resource["code"] = ELSE
        await _timed(client, world, resource, deleted=False)


async def _timed(client: httpx.AsyncClient, world: World, resource: dict[str, Any], *, deleted: bool) -> None:
    address, sent = f"/Observation/{resource['id']}", time.monotonic()
    answer = await (client.delete(address) if deleted else client.put(address, json=resource))
    assert answer.status_code in (200, 201, 204), answer.text
    matches = not deleted and resource["code"] == WALKED
    world.know(resource, Change(sent, time.monotonic(), matches=matches))


async def _read(client: httpx.AsyncClient, n: int, world: World, walks: list[Walk]) -> None:
    """Half of the orders, so that two readers have each."""
    count = max(7, world.matches // 40)
    for order in (ORDERS * 2)[n * len(ORDERS) // 2 : (n + 1) * len(ORDERS) // 2]:
        amended = "&status=amended" if "value-string" in order else ""
        query = (
            f"/Observation?code=urn:example|walk{amended}{order}&_count={count}&_include=Observation:subject"
        )
        walks.append(Walk(query, tuple([page async for page in _pages(client, query)])))


async def _pages(client: httpx.AsyncClient, query: str) -> AsyncIterator[Page]:
    onward: str | None = query
    while onward is not None:
        sent = time.monotonic()
        answer = await client.get(onward)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        entries = bundle.get("entry", [])
        yield Page(
            sent,
            time.monotonic(),
            tuple(
                (f"Observation/{one['resource']['id']}", one["resource"]["subject"]["reference"])
                for one in entries
                if one["search"]["mode"] == "match"
            ),
            frozenset(
                f"Patient/{one['resource']['id']}" for one in entries if one["search"]["mode"] == "include"
            ),
        )
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        onward = links.get("next")


async def _revoke(client: httpx.AsyncClient, world: World) -> None:
    """One patient after the other denies all access."""
    for n in range(REVOKED):
        await asyncio.sleep(0.4)
        id = f"walked-{n}"
        sent = time.monotonic()
        answer = await client.put(f"/Consent/c-{id}", json=a_consent(id, "deny"))
        assert answer.status_code in (200, 201), answer.text
        world.hidden[f"Patient/{id}"] = Change(sent, time.monotonic(), matches=False)
