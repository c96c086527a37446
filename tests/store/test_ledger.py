"""The ledger: chains that hold, whoever writes to them and however they end."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from msgspec.structs import replace

from audit.chain import Link, first_break, record_of, start_of
from audit.index import entries_of
from audit.record import Record, Target
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Everything,
    InRange,
    Not,
    OfPatients,
    Predicate,
    Updated,
    WithId,
    WithKey,
    all_of,
    any_of,
    token,
)
from fhir_server.search.predicates.version import Version
from fhir_server.store.limits import StoreLimits
from fhir_server.store.positions import Position
from fhir_server.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.versions import MORNING, a_change, a_record, stored


async def chains(store: Store) -> dict[str, list[Link]]:
    """Every chain, each verified from its beginning."""
    found = {shard: [link async for link in store.links(shard)] for shard in await store.shards()}
    for shard, links in found.items():
        assert first_break(links, start_of(shard)) is None
    return found


async def recorded(store: Store) -> Counter[str]:
    return Counter(
        record_of(link.payload).request_id for links in (await chains(store)).values() for link in links
    )


def numbered(n: int) -> Record:
    record = a_record(Key("Patient", str(n)), "read", patients=[str(n)])
    return replace(record, request_id=str(n))


async def test_an_appended_record_is_there_once_and_can_be_found_by_its_place(store: Store) -> None:
    record = numbered(1)
    await store.append(record)
    [[link]] = (await chains(store)).values()
    assert record_of(link.payload) == record
    assert await store.link(link.shard, link.position) == link
    assert await store.link(link.shard, link.position + 1) is None


async def test_chains_hold_after_reads_and_writes_of_two_processes_at_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    await asyncio.gather(
        *(stores[n % 2].append(numbered(n)) for n in range(200)),
        *(stored(stores[n % 2], Key("Observation", str(n % 7)), a_change()) for n in range(60)),
    )
    counts = await recorded(stores[0])
    assert [counts[str(n)] for n in range(200)] == [1] * 200
    assert counts["r-1"] == 60
    assert len(await stores[0].shards()) <= 2 * StoreLimits().shards_max


async def test_a_process_that_comes_later_continues_the_chains_of_one_that_ended(
    open_store: OpenStore,
) -> None:
    first = await open_store()
    await first.append(numbered(1))
    await first.close()
    second = await open_store()
    await second.append(numbered(2))
    [links] = (await chains(second)).values()
    assert [link.position for link in links] == [1, 2]


async def test_a_lapsed_lease_is_taken_over_and_its_old_owner_is_fenced(open_store: OpenStore) -> None:
    zombie = await open_store(StoreLimits(lease_seconds=0.05))
    for lease in zombie._leases:
        lease.cancel()
    await zombie.append(numbered(1))
    await asyncio.sleep(0.2)
    heir = await open_store()
    await heir.append(numbered(2))
    [links] = (await chains(heir)).values()
    assert [link.position for link in links] == [1, 2]
    # It knows of none of this, and still believes that position 2 is free.
    await asyncio.gather(*(zombie.append(numbered(n)) for n in range(3, 8)))
    await stored(zombie, Key("Patient", "1"), a_change(type="Patient"))
    await heir.append(numbered(8))
    counts = await recorded(heir)
    assert [counts[str(n)] for n in range(1, 9)] == [1] * 8
    assert counts["r-1"] == 1
    assert len(await heir.shards()) == 2


async def test_leases_that_are_renewed_are_not_taken_over(open_store: OpenStore) -> None:
    owner = await open_store(StoreLimits(lease_seconds=0.3))
    await owner.append(numbered(1))
    await asyncio.sleep(0.6)
    other = await open_store()
    await other.append(numbered(2))
    assert len(await other.shards()) == 2


PATIENTS = ["p1", "p2", "p3"]


def some_record(random: Random) -> Record:
    patients = tuple(random.sample(PATIENTS, random.randrange(4)))
    return Record(
        time=MORNING + timedelta(milliseconds=random.randrange(20), microseconds=random.randrange(999)),
        interaction=random.choice(["read", "search-type", "update", "delete"]),
        outcome=random.choice(["success", "refused", "failed"]),
        status=200,
        request_id=f"{random.getrandbits(32):x}",
        address="127.0.0.1",
        client=random.choice(["app", "other"]),
        user=random.choice([None, "Practitioner/7"]),
        targets=tuple(
            Target(f"Observation/{random.randrange(3)}", random.randrange(1, 3))
            for _ in range(random.randrange(3))
        ),
        patients=patients,
    )


def has_event(predicate: Predicate, link: Link) -> bool:
    record = record_of(link.payload)
    return any(
        matches(predicate, _event(link, n, entry, record)) for n, entry in enumerate(entries_of(record))
    )


def _event(link: Link, n: int, entry: Entry, record: Record) -> Version:
    return Version(
        Key("AuditEvent", f"{link.shard}.{link.position}.{n}"), 1, record.time, b"", entry, "", "POST"
    )


def some_predicates(random: Random, links: list[Link]) -> list[Predicate]:
    tokens = sorted(
        {t for link in links for entry in entries_of(record_of(link.payload)) for t in entry.tokens}
    )
    start = MORNING + timedelta(microseconds=random.randrange(20_000))
    low = int(MORNING.timestamp()) * 1_000_000 + random.randrange(20_000)
    plain: list[Predicate] = [
        token(random.choice(tokens)),
        AnyToken(frozenset(random.sample(tokens, 3))),
        Updated(start, start + timedelta(microseconds=random.randrange(9_000))),
        Updated(None, start),
        InRange("AuditEvent|date", low_min=low),
        InRange("AuditEvent|date", high_max=low, low_max=low + 10),
        OfPatients(frozenset(random.sample(PATIENTS, 2))),
        WithId(frozenset({f"{links[0].shard}.{random.randrange(1, 40)}.0", "nonsense"})),
        WithKey(frozenset({f"AuditEvent/{links[0].shard}.{random.randrange(1, 40)}.0", "Patient/1"})),
        Everything(),
    ]
    pairs = [random.sample(plain, 2) for _ in plain]
    return [
        *plain,
        *(Not(part) for part in plain),
        *(all_of(left, Not(right)) for left, right in pairs),
        *(Not(any_of(left, right)) for left, right in pairs),
    ]


async def test_a_page_misses_no_record_that_has_an_event_that_matches(store: Store) -> None:
    random = Random(5)
    await asyncio.gather(*(store.append(some_record(random)) for _ in range(60)))
    links = [link for links in (await chains(store)).values() for link in links]
    for predicate in [p for _ in range(4) for p in some_predicates(random, links)]:
        found: list[Link] = []
        after: Position | None = None
        while True:
            page = await store.link_page(predicate, newest_first=True, after=after, count=9)
            found += page.links
            if page.next is None:
                break
            after = Position.from_text(page.next.to_text())
        places = [(link.shard, link.position) for link in found]
        assert len(places) == len(set(places))
        assert {(link.shard, link.position) for link in links if has_event(predicate, link)} <= set(places)
        times = [record_of(link.payload).time.replace(microsecond=0) for link in found]
        assert times == sorted(times, reverse=True)


async def test_plain_criteria_find_no_more_than_they_must(store: Store) -> None:
    random = Random(6)
    await asyncio.gather(*(store.append(some_record(random)) for _ in range(40)))
    links = [link for links in (await chains(store)).values() for link in links]
    for value in ("AuditEvent|action|R", "AuditEvent|outcome|8", "AuditEvent|patient|Patient/p1"):
        for newest_first in (True, False):
            page = await store.link_page(token(value), newest_first=newest_first, after=None, count=100)
            assert len(page.links) == sum(has_event(token(value), link) for link in links)


@pytest.mark.parametrize("count", [1, 1000])
async def test_a_group_of_records_is_appended_in_the_order_it_came(open_store: OpenStore, count: int) -> None:
    store = await open_store(StoreLimits(record_group_max=count))
    await asyncio.gather(*(store.append(numbered(n)) for n in range(30)))
    [links] = (await chains(store)).values()
    assert [record_of(link.payload).request_id for link in links] == [str(n) for n in range(30)]
