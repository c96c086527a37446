"""
Who goes on from the last that they saw misses no write, whoever else writes, and whoever is killed.

Writers create and update through two workers, some in transactions that take long, so that stamps and
commits are in different orders. Each poller has a way of its own to ask what is new.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import httpx
import pytest

from tests.server.running import a_patient
from tests.simulation.server import Serving, Victim

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")

WRITERS: Final = 6
SECONDS: Final = 2.5
ACKNOWLEDGED_MIN: Final = 100
LARGE: Final = 60
"""Entries of a transaction: more than share one with others, so that it takes its time."""

CAUGHT_UP_SECONDS_MAX: Final = 20.0
LAG_SECONDS_MAX: Final = 5.0
"""On a machine that is busy; docs/storage.md has what was measured on a quiet one."""

BEGINNING: Final = "2020-01-01T00:00:00Z"
POLLS: Final = (
    "Patient?_lastUpdated=gt{}&_sort=_lastUpdated&_count=40",
    "Patient?_lastUpdated=ge{}&_count=25",
    "Patient?_lastUpdated=gt{}&_sort=-_lastUpdated&_count=30",
    "Patient?_lastUpdated=ge{}&_sort=birthdate&_count=200",
    "Patient/_history?_since={}&_count=50",
    "_history?_since={}&_count=500",
)

Version = tuple[str, int]


@dataclass
class World:
    """What was acknowledged, and when; a version that was superseded since is in histories alone."""

    acknowledged: dict[Version, float] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self, resource: dict[str, Any]) -> None:
        self.acknowledged[_version(resource)] = time.monotonic()

    @property
    def newest(self) -> set[Version]:
        """The last acknowledged version of each."""
        numbers: dict[str, int] = {}
        for id, number in self.acknowledged:
            numbers[id] = max(number, numbers.get(id, 0))
        return set(numbers.items())


@dataclass
class Poller:
    """Goes on from the newest `lastUpdated` that it saw."""

    poll: str
    client: httpx.AsyncClient
    last: str = BEGINNING
    seen: dict[Version, float] = field(default_factory=dict)

    async def run(self, world: World) -> None:
        while not world.ended.is_set():
            with suppress(httpx.TransportError):
                await self.once()
            await asyncio.sleep(0.01)

    async def once(self) -> None:
        onward: str | None = "/" + self.poll.format(self.last)
        found: list[dict[str, Any]] = []
        while onward is not None:
            answer = await self.client.get(onward)
            if answer.status_code >= 500:
                return
            assert answer.status_code == 200, answer.text
            bundle = answer.json()
            found += [entry["resource"] for entry in bundle.get("entry", [])]
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            onward = links.get("next")
        for resource in found:
            self.seen.setdefault(_version(resource), time.monotonic())
        self.last = max([self.last, *(resource["meta"]["lastUpdated"] for resource in found)])

    def missed(self, world: World) -> set[Version]:
        wanted = set(world.acknowledged) if "_history" in self.poll else world.newest
        return wanted - self.seen.keys()

    def lag(self, world: World) -> float:
        """The median of the seconds from an acknowledgement to the end of the poll that showed the write."""
        return median(
            max(0.0, self.seen[version] - acknowledged)
            for version, acknowledged in world.acknowledged.items()
            if version in self.seen
        )


async def write(client: httpx.AsyncClient, name: str, random: Random, world: World) -> None:
    """New ones, old ones again, and now and then many at once."""
    numbers = iter(range(1_000_000))
    while not world.ended.is_set():
        id = f"{name}-{next(numbers)}"
        dice = random.random()
        with suppress(httpx.TransportError):
            if dice < 0.06:
                resources = [a_patient(id=f"{id}-{n}", birthDate="2000") for n in range(LARGE)]
                answer = await client.post("", json=_transaction(resources))
                if answer.status_code == 200:
                    for entry in answer.json()["entry"]:
                        _, _, key, _, number = entry["response"]["location"].rsplit("/", 4)
                        world.acknowledged[key, int(number)] = time.monotonic()
                continue
            id = f"{name}-{random.randrange(5)}" if dice < 0.2 else id
            stated = {"birthDate": f"{random.randrange(1900, 2020)}"}
            answer = await client.put(f"/Patient/{id}", json=a_patient(id=id, **stated))
            if answer.status_code in (200, 201):
                world.told(answer.json())


def _version(resource: dict[str, Any]) -> Version:
    return resource["id"], int(resource["meta"]["versionId"])


def _transaction(resources: list[dict[str, Any]]) -> dict[str, Any]:
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"Patient/{one['id']}"}} for one in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.mark.parametrize("killed", [False, True], ids=["nobody killed", "a worker killed"])
async def test_a_poller_misses_no_write(short_folder: Path, races: int, *, killed: bool) -> None:
    serving = Serving(short_folder)
    try:
        await serving.start()
        token = await serving.token()
        async with serving.client(token) as http:
            world, pollers = await _run(serving, http, killed=killed, seconds=SECONDS * races)
        await serving.stop()
    finally:
        await serving.end()
    assert len(world.acknowledged) > ACKNOWLEDGED_MIN
    assert {poller.poll: missed for poller in pollers if (missed := poller.missed(world))} == {}
    assert max(poller.lag(world) for poller in pollers) < LAG_SECONDS_MAX


async def _run(
    serving: Serving, http: httpx.AsyncClient, *, killed: bool, seconds: float
) -> tuple[World, list[Poller]]:
    """What was written, and who asked for it until they had all or it took too long."""
    world = World()
    pollers = [Poller(poll, http) for poll in POLLS]
    async with asyncio.TaskGroup() as group:
        for n in range(WRITERS):
            group.create_task(write(http, f"w{n}", Random(n), world))
        for poller in pollers:
            group.create_task(poller.run(world))
        await asyncio.sleep(seconds)
        if killed:
            await serving.kill(Victim.WORKER, Random(1))
            await asyncio.sleep(seconds)
        world.ended.set()
    until = time.monotonic() + CAUGHT_UP_SECONDS_MAX
    while any(poller.missed(world) for poller in pollers) and time.monotonic() < until:
        for poller in pollers:
            await poller.once()
    return world, pollers
