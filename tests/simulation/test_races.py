"""
Two workers at once on the same resources: no update is lost, nobody sees the past, all is recorded.

Each client has a connection of its own, and the supervisor hands these out in turn, so both workers
take part in each race.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.server.running import a_patient, an_observation
from tests.server.test_gate import a_consent
from tests.simulation.raced import Raced

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")

CLIENTS: Final = 16
COUNTED_BY_EACH: Final = 6
SHARED: Final = 20
TRANSACTIONS_OF_EACH: Final = 10
READERS: Final = 6
REVOCATIONS: Final = 4
READING_SECONDS: Final = 0.3
RECORDED_SECONDS_MAX: Final = 10.0
RECORDED_POLL_SECONDS: Final = 0.1


def _version(response: httpx.Response) -> int:
    return int(response.json()["meta"]["versionId"])


async def test_a_counter_that_many_count_on_loses_nothing(raced: Raced) -> None:
    """https://hl7.org/fhir/R4/http.html#concurrency"""
    statuses: Counter[int] = Counter()

    async def count(client: httpx.AsyncClient) -> None:
        for _ in range(COUNTED_BY_EACH):
            read = await client.get("/Patient/counter")
            counted = {**read.json(), "multipleBirthInteger": read.json()["multipleBirthInteger"] + 1}
            put = await client.put(
                "/Patient/counter", json=counted, headers={"If-Match": read.headers["etag"]}
            )
            statuses[put.status_code] += 1

    async with raced.clients(CLIENTS) as clients:
        await clients[0].put("/Patient/counter", json=a_patient(id="counter", multipleBirthInteger=0))
        await asyncio.gather(*map(count, clients))
        counter = await clients[0].get("/Patient/counter")
        history = (await clients[0].get("/Patient/counter/_history?_count=1000")).json()["entry"]
    assert statuses.keys() <= {200, 412}
    assert statuses[200] >= COUNTED_BY_EACH
    assert counter.json()["multipleBirthInteger"] == statuses[200]
    numbers = [int(entry["resource"]["meta"]["versionId"]) for entry in history]
    assert numbers == list(range(1 + statuses[200], 0, -1))
    assert raced.workers_at_work("update") == {"worker-0", "worker-1"}


async def test_overlapping_transactions_are_all_done(raced: Raced, races: int) -> None:
    """
    Each updates all that is shared. With `--races 10` there are 1,600 of them.

    https://hl7.org/fhir/R4/http.html#transaction
    """
    written: Counter[str] = Counter()
    refused: list[str] = []

    async def transact(client: httpx.AsyncClient, random: Random) -> None:
        for number in range(TRANSACTIONS_OF_EACH * races):
            ids = [f"shared-{id}" for id in random.sample(range(SHARED), SHARED)]
            resources = [a_patient(id=id, name=[{"text": f"{random.random()} {number}"}]) for id in ids]
            response = await client.post("", json=_transaction(resources))
            if response.status_code != httpx.codes.OK:
                refused.append(f"{response.status_code} {response.text}")
            written.update(ids)

    async with raced.clients(CLIENTS) as clients:
        first = [a_patient(id=f"shared-{id}") for id in range(SHARED)]
        assert (await clients[0].post("", json=_transaction(first))).status_code == httpx.codes.OK
        await asyncio.gather(*(transact(client, Random(n)) for n, client in enumerate(clients)))
        for number in range(SHARED):
            id = f"shared-{number}"
            assert _version(await clients[0].get(f"/Patient/{id}")) == 1 + written[id]
            assert await _versions(clients[0], id) == list(range(1 + written[id], 0, -1))
    assert refused == []
    assert raced.workers_at_work("transaction") == {"worker-0", "worker-1"}


async def test_of_overlapping_transactions_with_if_match_one_is_done(raced: Raced, races: int) -> None:
    """All of it or nothing: a counter in each resource counts the transactions that were done."""
    statuses: Counter[int] = Counter()
    ids = [f"matched-{number}" for number in range(SHARED)]

    async def transact(client: httpx.AsyncClient, random: Random) -> None:
        for _ in range(TRANSACTIONS_OF_EACH * races):
            found = (await client.get(f"/Patient?_id={','.join(ids)}&_count={SHARED}")).json()["entry"]
            resources = [entry["resource"] for entry in found]
            random.shuffle(resources)
            for resource in resources:
                resource["multipleBirthInteger"] += 1
            response = await client.post("", json=_transaction(resources, matched=True))
            statuses[response.status_code] += 1

    async with raced.clients(CLIENTS) as clients:
        first = [a_patient(id=id, multipleBirthInteger=0) for id in ids]
        assert (await clients[0].post("", json=_transaction(first))).status_code == httpx.codes.OK
        await asyncio.gather(*(transact(client, Random(n)) for n, client in enumerate(clients)))
        for id in ids:
            read = await clients[0].get(f"/Patient/{id}")
            assert read.json()["multipleBirthInteger"] == statuses[200]
            assert _version(read) == 1 + statuses[200]
    assert statuses.keys() <= {200, 412}
    assert statuses[200] >= TRANSACTIONS_OF_EACH


async def _versions(client: httpx.AsyncClient, id: str) -> list[int]:
    """The numbers of all versions, newest first, over as many pages as there are."""
    numbers: list[int] = []
    address = f"/Patient/{id}/_history?_count=1000"
    while address:
        page = (await client.get(address)).json()
        numbers += [int(entry["resource"]["meta"]["versionId"]) for entry in page["entry"]]
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return numbers


async def test_a_denial_is_seen_at_once_by_all_workers(raced: Raced) -> None:
    """Whatever is asked after a Consent was acknowledged is answered under it, on any connection."""
    async with raced.clients(1 + READERS) as clients:
        for number in range(REVOCATIONS):
            id = f"denied-{number}"
            await clients[0].put(f"/Patient/{id}", json=a_patient(id=id))
            await clients[0].put(f"/Observation/o-{id}", json=an_observation(id, id=f"o-{id}"))
            watch = Watch(id)
            readers = [asyncio.create_task(watch.read(client)) for client in clients[1:]]
            await asyncio.sleep(READING_SECONDS)
            answer = await clients[0].put(f"/Consent/c-{id}", json=a_consent(id, "deny"))
            assert answer.status_code == httpx.codes.CREATED
            watch.denied = True
            await asyncio.sleep(READING_SECONDS)
            watch.ended = True
            await asyncio.gather(*readers)
            assert watch.shown_before > 0
            assert watch.hidden_after > 0
            assert watch.shown_after == []


class Watch:
    """Looks at one patient all the time, in three ways, and counts what was shown since when."""

    def __init__(self, id: str) -> None:
        self._addresses = (f"/Patient/{id}", f"/Patient?_id={id}", f"/Observation?patient={id}")
        self.denied = False
        self.ended = False
        self.shown_before = 0
        self.shown_after: list[str] = []
        self.hidden_after = 0

    async def read(self, client: httpx.AsyncClient) -> None:
        while not self.ended:
            for address in self._addresses:
                denied = self.denied
                response = await client.get(address)
                resource = response.json()
                shown = response.status_code == httpx.codes.OK and (
                    resource["resourceType"] != "Bundle" or bool(resource.get("entry"))
                )
                if not denied:
                    self.shown_before += shown
                elif shown:
                    self.shown_after.append(address)
                else:
                    self.hidden_after += 1


@pytest.mark.parametrize(
    ("method", "address", "resource"),
    [
        ("GET", "/Patient/hung-up", None),
        ("GET", "/Patient?_id=hung-up", None),
        ("GET", "/Patient/hung-up/_history", None),
        ("PUT", "/Patient/hung-up", {"resourceType": "Patient", "id": "hung-up"}),
        ("POST", "/Patient", {"resourceType": "Patient"}),
        ("DELETE", "/Patient/hung-up", None),
        ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": []}),
        ("POST", "/Nothing", {"resourceType": "Nothing"}),
    ],
)
async def test_a_client_that_hangs_up_leaves_its_record(
    raced: Raced, method: str, address: str, resource: dict[str, Any] | None
) -> None:
    """Whenever and however it does: before the request is whole or before the answer, with FIN or RST."""
    async with raced.clients(1) as [client]:
        await client.put("/Patient/hung-up", json=a_patient(id="hung-up"))
    names = [f"hung-up-{uuid4().hex[:12]}" for _ in range(4)]
    for number, name in enumerate(names):
        wire = _on_the_wire(raced, method, address, resource, name)
        cut = number > 1 and resource is not None
        await _send_and_hang_up(raced, wire[:-1] if cut else wire, reset=number % 2 == 1)
    recorded: set[str] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(RECORDED_SECONDS_MAX):
            while not set(names) <= recorded:
                recorded = {record.request_id for record in await raced.records()}
                await asyncio.sleep(RECORDED_POLL_SECONDS)
    assert set(names) <= recorded


def _on_the_wire(
    raced: Raced, method: str, address: str, resource: dict[str, Any] | None, name: str
) -> bytes:
    headers = {"Authorization": f"Bearer {raced.token}", "X-Request-Id": name}
    request = httpx.Request(method, raced.serving.base_url + address, json=resource, headers=headers)
    head = [f"{method} {request.url.raw_path.decode()} HTTP/1.1"]
    head += [f"{header}: {value}" for header, value in request.headers.items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + request.read()


async def _send_and_hang_up(raced: Raced, wire: bytes, *, reset: bool) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", raced.serving.port)
    if reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.write(wire)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def _transaction(resources: list[dict[str, Any]], *, matched: bool = False) -> dict[str, Any]:
    """Updates of these; `matched` only over the versions that they say they are."""
    entries = []
    for one in resources:
        request = {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}
        if matched:
            request["ifMatch"] = f'W/"{one["meta"]["versionId"]}"'
        entries.append({"resource": one, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
