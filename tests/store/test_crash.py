"""mongod is killed in the middle of everything: what was acknowledged is there, and nothing half."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from random import Random

from audit.chain import first_break, record_of, start_of
from fhir_server.r4.errors import Unavailable
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version
from fhir_server.store.embedded import MongodOptions, running
from fhir_server.store.store import Store
from tests.store.versions import Clock, a_change, a_record, a_unit, put


async def _write(store: Store, worker: int, acknowledged: list[Version], ended: asyncio.Event) -> None:
    """Units of two writes each, on keys that the workers share and on new ones."""
    random = Random(worker)
    n = 0
    while not ended.is_set():
        n += 1
        keys = [Key("Observation", f"{random.randrange(5)}"), Key("Patient", f"{worker}-{n}")]
        try:
            acknowledged += await store.commit(
                a_unit(*(put(key, a_change(f"{worker}.{n}", type=key.type)) for key in keys))
            )
            await store.append(a_record(keys[1], "read"))
        except Unavailable:
            continue


async def test_each_acknowledged_write_survives_kills_of_mongod_and_units_are_whole(
    short_folder: Path,
) -> None:
    async with running(short_folder / "crash", MongodOptions(cache_gb=0.25), "pytest") as mongod:
        stores = [
            await Store.open(mongod.url, clock=Clock(), random=Random(n), app_name=f"tests-{n}")
            for n in range(2)
        ]
        acknowledged: list[Version] = []
        ended = asyncio.Event()
        workers = [asyncio.create_task(_write(stores[n % 2], n, acknowledged, ended)) for n in range(8)]
        while len(acknowledged) <= 100:  # noqa: ASYNC110 - the workers go on by themselves
            await asyncio.sleep(0.05)
        before = len(acknowledged)
        assert mongod.pid is not None
        os.kill(mongod.pid, signal.SIGKILL)
        while len(acknowledged) < before + 100:  # noqa: ASYNC110 - the workers go on by themselves
            await asyncio.sleep(0.05)
        ended.set()
        await asyncio.gather(*workers)
        await _check(stores[0], acknowledged)
        for store in stores:
            await store.close()


async def _check(store: Store, acknowledged: list[Version]) -> None:
    assert len(acknowledged) > 200
    for version in acknowledged:
        assert await store.version(version.key, version.number) == version
    recorded: Counter[tuple[str, int | None]] = Counter()
    for shard in await store.shards():
        links = [link async for link in store.links(shard)]
        assert first_break(links, start_of(shard)) is None
        for record in (record_of(link.payload) for link in links):
            if record.interaction == "update":
                recorded.update((target.reference, target.version) for target in record.targets)
    for version in acknowledged:
        assert recorded[str(version.key), version.number] == 1
    # Each write that is there has its record, each record its write, acknowledged or not.
    for n in range(5):
        key = Key("Observation", str(n))
        newest, _ = await store.current(key, tokens=False)
        assert newest is not None
        numbers = sorted(number or 0 for reference, number in recorded if reference == str(key))
        assert numbers == list(range(1, newest.number + 1))
