"""
A large transaction Bundle, decided by two numbers, and what is measured while it is sent.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx

from fhir_server.r4.resource import to_text
from tests.processes.served import children, command_of

OBSERVATIONS_OF_EACH: Final = 99
BYTES_OF_EACH: Final = 2_430
"""An entry, about: 25,000 of them are 60 MB."""
SYSTEM: Final = "http://large.example/order"
READ_EVERY_SECONDS: Final = 0.01
MEMORY_EVERY_SECONDS: Final = 0.1

_TEXT: Final = "Seen on the ward, no complaints; blood pressure taken sitting, left arm, after a rest. "


def large_bundle(entries: int, mark: str, bytes_of_each: int = BYTES_OF_EACH) -> bytes:
    """
    A transaction of so many entries: patients, and for each some Observations about them.

    All carry the identifier `SYSTEM|mark`.
    """
    listed = b",\n".join(to_text(entry) for entry in _entries(entries, mark, bytes_of_each))
    return b'{"resourceType":"Bundle","type":"transaction","entry":[\n' + listed + b"\n]}"


def _entries(entries: int, mark: str, bytes_of_each: int) -> Iterator[dict[str, Any]]:
    patient = ""
    for number in range(entries):
        full_url = f"urn:uuid:{UUID(int=number)}"
        if number % (OBSERVATIONS_OF_EACH + 1) == 0:
            patient = full_url
            resource = _patient(number, mark)
        else:
            resource = _observation(number, mark, patient)
        filler = bytes_of_each - len(to_text(resource)) - 150
        text = (_TEXT * (filler // len(_TEXT) + 1))[: max(1, filler)]
        resource["text"] = {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>',
        }
        request = {"method": "POST", "url": resource["resourceType"]}
        yield {"fullUrl": full_url, "resource": resource, "request": request}


def _patient(number: int, mark: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": mark}, {"system": f"{SYSTEM}/mrn", "value": str(number)}],
        "name": [{"family": f"Family{number}", "given": ["Ann", f"G{number}"]}],
        "gender": "female",
        "birthDate": f"19{number % 90 + 10}-03-{number % 28 + 1:02}",
    }


def _observation(number: int, mark: str, patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "identifier": [{"system": SYSTEM, "value": mark}],
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "vital-signs", "display": "Vital Signs"}]}],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
            "text": "Heart rate",
        },
        "subject": {"reference": patient},
        "effectiveDateTime": f"2026-0{number % 9 + 1}-{number % 28 + 1:02}T08:{number % 60:02}:00Z",
        "issued": f"2026-0{number % 9 + 1}-{number % 28 + 1:02}T09:{number % 60:02}:00.120Z",
        "valueQuantity": {
            "value": number % 80 + 40,
            "unit": "beats/minute",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        },
    }


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a Bundle that was sent."""

    status: int
    body: bytes
    seconds: float


async def send(port: int, token: str, bundle: bytes, seconds_max: float = 240.0) -> Sent:
    """POST it, in a thread: who measures is not kept from measuring by sending."""
    return await asyncio.to_thread(_send, port, token, bundle, seconds_max)


def _send(port: int, token: str, bundle: bytes, seconds_max: float) -> Sent:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds_max)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    started = time.perf_counter()
    try:
        connection.request("POST", "/fhir", bundle, headers)
        response = connection.getresponse()
        return Sent(response.status, response.read(), time.perf_counter() - started)
    finally:
        connection.close()


@dataclass(slots=True)
class Latencies:
    """How long reads took, in milliseconds, for each connection."""

    of_each: list[list[float]] = field(default_factory=list)

    def p95(self) -> float:
        """Over all reads of all connections."""
        return self.of(0.95)

    def of(self, share: float) -> float:
        """What so great a share of the reads did not exceed."""
        together = sorted(time for times in self.of_each for time in times)
        return together[min(len(together) - 1, int(len(together) * share))]


@asynccontextmanager
async def reading(base_url: str, token: str, address: str, connections: int = 2) -> AsyncIterator[Latencies]:
    """
    Reads of `address` one after the other, on connections that are handed to workers in turn.

    What is measured is a client beside the one who sends, on each worker.
    """
    latencies = Latencies([[] for _ in range(connections)])
    async with asyncio.TaskGroup() as group:
        clients = [
            group.create_task(_read(base_url, token, address, latencies.of_each[number]))
            for number in range(connections)
        ]
        try:
            yield latencies
        finally:
            for client in clients:
                client.cancel()


async def _read(base_url: str, token: str, address: str, times: list[float]) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60.0) as client:
        for number in count():
            started = time.perf_counter()
            assert (await client.get(address)).status_code == httpx.codes.OK
            if number:
                # The first one opens the connection.
                times.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(READ_EVERY_SECONDS)


@dataclass(slots=True)
class Memory:
    """Resident bytes of a server's processes: at first, and at most; by what they run."""

    before: dict[str, int]
    most: dict[str, int] = field(default_factory=dict)
    grown: int = 0
    """By how much all of them together grew, at most."""
    grown_without_mongod: int = 0
    """The same without the database, whose memory is mostly a cache."""

    def see(self, found: dict[str, int]) -> None:
        """What is resident at a moment."""
        for name, size in found.items():
            self.most[name] = max(size, self.most.get(name, 0))
        self.grown = max(self.grown, sum(found.values()) - sum(self.before.values()))
        self.grown_without_mongod = max(
            self.grown_without_mongod, _without_mongod(found) - _without_mongod(self.before)
        )


@asynccontextmanager
async def remembering(supervisor: int) -> AsyncIterator[Memory]:
    """Looks at the memory of the supervisor and everything below it, again and again."""
    memory = Memory(resident(supervisor))

    async def watch() -> None:
        while True:
            memory.see(resident(supervisor))
            await asyncio.sleep(MEMORY_EVERY_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        watching.cancel()
        await asyncio.wait((watching,))


def resident(supervisor: int) -> dict[str, int]:
    """Resident bytes by what runs, such as `fhir_server.worker 1234`. man 5 proc"""
    found: dict[str, int] = {}
    for pid in descendants(supervisor):
        with suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found[f"{_named(command_of(pid))} {pid}"] = pages * 4096
    return found


def descendants(pid: int) -> list[int]:
    """The process and everything that it started, directly or not."""
    return [pid, *(below for child in children(pid) for below in descendants(child))]


def _without_mongod(found: dict[str, int]) -> int:
    return sum(size for name, size in found.items() if not name.startswith("mongod"))


def _named(command: str) -> str:
    words = command.split()
    if "-m" in words:
        return words[words.index("-m") + 1]
    return "mongod" if "mongod" in command else "supervisor"


_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
