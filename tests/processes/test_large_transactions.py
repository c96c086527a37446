"""
A transaction of 25,000 entries and 60 MB: all of it or nothing, and nobody waits for it.

Real processes: `fhir-server serve` with two workers and a mongod of its own. By default the Bundle is
small; docs/testing.md says how to send the large one.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.store.embedded import joined
from tests.folders import a_short_folder
from tests.processes.large import SYSTEM, Sent, large_bundle, reading, remembering, resident, send
from tests.processes.served import children, command_of
from tests.simulation.evidence import gathered
from tests.simulation.server import Serving

pytestmark = [
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc"),
    pytest.mark.timeout(900),
]

SMALL: Final = 1_500
"""Entries of the Bundles that are disturbed: some MB, prepared in another process."""
IDLE_SECONDS: Final = 3.0
SECONDS_MAX: Final = 60.0
IDLE_TIMES_MAX: Final = 5
P95_MS_MAX: Final = 50.0
GROWN_BYTES_MAX: Final = 1_000_000_000
SETTLED_AFTER_SECONDS: Final = 3.0
KILLED: Final = 6_000
"""Entries of those that are caught while they are written, which takes a second or two."""
WRITTEN_SECONDS: Final = 0.05
LOOKED_EVERY_SECONDS: Final = 0.2
POLL_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Large:
    """A server with two workers, a token for everything, and marks that no Bundle had before."""

    serving: Serving
    token: str
    marks: count[int]

    def bundle(self, entries: int) -> tuple[str, bytes]:
        """A new mark, and a Bundle that carries it."""
        mark = f"mark-{next(self.marks)}"
        return mark, large_bundle(entries, mark)

    async def send(self, bundle: bytes) -> Sent:
        return await send(self.serving.port, self.token, bundle)

    async def stored(self, client: httpx.AsyncClient, mark: str) -> int:
        """How many resources carry the mark."""
        answer = await client.get("/", params={"identifier": f"{SYSTEM}|{mark}", "_type": TYPES, **COUNTED})
        assert answer.status_code == httpx.codes.OK, answer.text
        total: int = answer.json()["total"]
        return total

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with self.serving.client(self.token) as client:
            yield client

    @property
    def preparing(self) -> list[int]:
        """The processes that prepare Bundles."""
        return [
            pid
            for worker in self.serving.workers
            for pid in children(worker)
            if "fhir_server.preparing" in command_of(pid)
        ]


TYPES: Final = "Patient,Observation"
COUNTED: Final = {"_total": "accurate", "_count": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large() -> AsyncIterator[Large]:
    with a_short_folder() as folder:
        serving = Serving(folder)
        try:
            await serving.start()
            yield Large(serving, await serving.token(), count())
            await serving.stop()
        finally:
            await serving.end()


@pytest.mark.alone
async def test_a_large_transaction_is_whole_and_keeps_nobody_waiting(large: Large, entries: int) -> None:
    mark, bundle = large.bundle(entries)
    serving = large.serving
    seen: set[int] = set()
    async with large.client() as client:
        await client.put("/Patient/read", json={"resourceType": "Patient", "id": "read"})
        async with reading(serving.base_url, large.token, "/Patient/read") as idle:
            await asyncio.sleep(IDLE_SECONDS)
        async with remembering(serving.pid) as memory, asyncio.TaskGroup() as group:
            looking = group.create_task(_look(large, client, mark, seen))
            async with reading(serving.base_url, large.token, "/Patient/read") as busy:
                sent = await large.send(bundle)
            looking.cancel()
        seen.add(await large.stored(client, mark))
        await asyncio.sleep(SETTLED_AFTER_SECONDS)
        settled = sum(resident(serving.pid).values()) - sum(memory.before.values())
    figures = (
        f"{entries} entries, {len(bundle) / 1e6:.0f} MB: {sent.seconds:.1f} s; p95 of reads "
        f"{idle.p95():.1f} ms idle, {busy.p95():.1f} ms busy ({busy.of(1):.0f} at most); memory of ours "
        f"+{memory.grown_without_mongod / 1e6:.0f} MB, of all +{memory.grown / 1e6:.0f} MB at most, "
        f"+{settled / 1e6:.0f} MB afterwards"
    )
    print(figures)  # noqa: T201 - what is asked for with `-rP`
    assert sent.status == httpx.codes.OK, sent.body[:1000]
    assert sent.body.count(b'"201 Created"') == entries
    assert seen == {0, entries}, "a reader saw a part"
    assert sent.seconds < SECONDS_MAX, figures
    assert busy.p95() <= max(P95_MS_MAX, IDLE_TIMES_MAX * idle.p95()), figures
    assert memory.grown_without_mongod < GROWN_BYTES_MAX, figures
    assert settled < GROWN_BYTES_MAX, figures


async def test_three_at_once_are_all_done(large: Large) -> None:
    bundles = [large.bundle(SMALL) for _ in range(3)]
    async with large.client() as client:
        sent = await asyncio.gather(*(large.send(bundle) for _, bundle in bundles))
        assert [one.status for one in sent] == [200] * 3
        assert [await large.stored(client, mark) for mark, _ in bundles] == [SMALL] * 3


async def test_a_refusal_names_its_entry_and_nothing_is_kept(large: Large) -> None:
    mark, bundle = large.bundle(SMALL)
    broken = bundle.replace(b'"gender":"female"', b'"gender":"nonsense"')
    async with large.client() as client:
        sent = await large.send(broken)
        assert sent.status == httpx.codes.UNPROCESSABLE_ENTITY
        assert b'"Bundle.entry[100].resource.gender"' in sent.body
        assert await large.stored(client, mark) == 0


async def test_nothing_is_left_of_one_whose_worker_is_killed(large: Large) -> None:
    mark, bundle = large.bundle(KILLED)
    async with large.client() as client:
        sending = asyncio.create_task(large.send(bundle))
        await _is_being_written(large)
        for pid in large.serving.workers:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises((ConnectionError, OSError)):
            await sending
        await _until(_is_whole(large))
        assert await large.stored(client, mark) == 0
        assert (await large.send(bundle)).status == httpx.codes.OK
        assert await large.stored(client, mark) == KILLED


async def test_one_whose_preparing_process_is_killed_is_refused_and_the_next_is_done(large: Large) -> None:
    mark, bundle = large.bundle(SMALL)
    async with large.client() as client:
        sending = asyncio.create_task(large.send(bundle))
        while not sending.done():
            for pid in large.preparing:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(POLL_SECONDS)
        sent = await sending
        assert sent.status == httpx.codes.SERVICE_UNAVAILABLE, sent.body[:1000]
        assert await large.stored(client, mark) == 0
        assert (await large.send(bundle)).status == httpx.codes.OK


async def test_one_whose_client_hangs_up_is_done_nevertheless(large: Large) -> None:
    """What was accepted is carried out: https://hl7.org/fhir/R4/http.html#transaction"""
    mark, bundle = large.bundle(SMALL)
    async with large.client() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", large.serving.port)
        head = (
            "POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\n"
            f"Authorization: Bearer {large.token}\r\nContent-Length: {len(bundle)}\r\n\r\n"
        )
        writer.write(head.encode() + bundle)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert reader.at_eof() or not await reader.read()

        async def is_stored() -> bool:
            return await large.stored(client, mark) != 0

        await _until(is_stored)
        assert await large.stored(client, mark) == SMALL


async def test_a_server_that_is_told_to_stop_leaves_all_or_nothing(large: Large) -> None:
    mark, bundle = large.bundle(KILLED)
    sending = asyncio.create_task(large.send(bundle))
    await _is_being_written(large)
    await large.serving.stop()
    [sent] = await asyncio.gather(sending, return_exceptions=True)
    await large.serving.start()
    async with large.client() as client:
        stored = await large.stored(client, mark)
    assert stored == (KILLED if isinstance(sent, Sent) and sent.status == httpx.codes.OK else 0)


async def test_each_entry_has_its_record_and_the_bundle_has_one(large: Large, entries: int) -> None:
    async with large.serving.store() as store:
        evidence = await gathered(store)
    by_request: dict[str, list[str]] = {}
    for record in evidence.records:
        if record.outcome == "success":
            by_request.setdefault(record.request_id, []).append(record.interaction)
    transactions = [names for names in by_request.values() if "transaction" in names]
    assert transactions
    for names in transactions:
        assert names.count("transaction") == 1
        assert set(names) == {"transaction", "create"}
    assert {len(names) - 1 for names in transactions} <= {SMALL, KILLED, entries}


async def _look(large: Large, client: httpx.AsyncClient, mark: str, seen: set[int]) -> None:
    while True:
        seen.add(await large.stored(client, mark))
        await asyncio.sleep(LOOKED_EVERY_SECONDS)


async def _is_being_written(large: Large) -> None:
    """Returns when a transaction has been open for a moment."""
    async with joined(large.serving.data_dir, command="pytest") as url, _mongodb(url) as mongodb:
        open_for = {"transaction.timeOpenMicros": {"$gt": int(WRITTEN_SECONDS * 1e6)}}
        operations: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "idleSessions": True}},
            {"$match": open_for},
        ]

        async def is_open() -> bool:
            return bool(await (await mongodb.admin.aggregate(operations)).to_list())

        await _until(is_open)


@asynccontextmanager
async def _mongodb(url: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        yield client


def _is_whole(large: Large) -> Callable[[], Awaitable[bool]]:
    async def is_whole() -> bool:
        return large.serving.is_whole

    return is_whole


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is so; that depends on other processes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(POLL_SECONDS)
