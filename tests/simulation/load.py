"""
Clients that write and read, each by a die of its own, and keep a journal.

They share a few Patients, so that writers meet; each has some Observations for itself. A client
that gets no answer leaves its attempt as it is: not known, never sent again under the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final

import httpx

from fhir_server.store.limits import StoreLimits
from tests.simulation.journal import MARKS, Attempt, Journal, Seen, Write, mark_of

SHARED: Final = 6
OWN: Final = 4
MANY: Final = StoreLimits().group_unit_writes_max + 10
LARGE: Final = 15_000
"""Words of a note that is kept beside its version (docs/storage.md)."""
PAUSE_SECONDS: Final = 0.05
"""After an answer that did not come, so that a server that is away is not run against."""


class Client:
    """One client with one connection at a time; `random` decides everything that it does."""

    def __init__(self, number: int, http: httpx.AsyncClient, journal: Journal, random: Random) -> None:
        self._number = number
        self._http = http
        self._journal = journal
        self._random = random
        self._marks = 0
        self._versions: dict[str, int] = {}
        self._created: list[tuple[str, str]] = []
        self.complaints: list[str] = []

    async def run(self, ended: asyncio.Event) -> None:
        """Does one thing after the other until `ended`."""
        actions: dict[Callable[[], Awaitable[None]], int] = {
            self.create: 4,
            self.update: 3,
            self.update_if_unchanged: 3,
            self.delete: 1,
            self.transact: 3,
            self.read: 4,
            self.find: 2,
        }
        while not ended.is_set():
            [action] = self._random.choices(list(actions), list(actions.values()))
            await action()

    async def write_to_all(self, seconds_max: float) -> None:
        """Each of the shared ones can be written to soon: nothing that was killed holds it."""
        for number in range(SHARED):
            id = f"shared-{number}"
            try:
                async with asyncio.timeout(seconds_max):
                    while not await self._write(Write("PUT", "Patient", id, self._patient(id))):
                        pass
            except TimeoutError:
                self.complaints.append(f"Patient/{id}: could not be written to for {seconds_max:g} s")

    async def create(self) -> None:
        await self._write(Write("POST", "Patient", None, self._patient()))

    async def update(self) -> None:
        if self._random.random() < 0.5:
            await self._write(self._put_shared())
        else:
            await self._write(self._put_own())

    async def update_if_unchanged(self) -> None:
        """Reads one that others write as well, then updates what it saw."""
        id = self._shared_id()
        seen = await self._read(f"Patient/{id}")
        if seen is not None:
            await self._write(Write("PUT", "Patient", id, self._patient(id), if_match=seen.number))

    async def delete(self) -> None:
        if self._random.random() < 0.5:
            await self._write(Write("DELETE", "Patient", self._shared_id()))
        elif (own := self._own_written()) is not None:
            await self._write(Write("DELETE", "Observation", own))

    async def transact(self) -> None:
        """
        Resources that refer to each other, two that are there, and perhaps a deletion: now and then
        so many that they do not share a database transaction with anybody.
        """
        new = f"urn:uuid:{self._random.getrandbits(128):032x}"
        count = MANY if self._random.random() < 0.1 else 1
        writes = [
            Write("POST", "Patient", None, self._patient()),
            *(Write("POST", "Observation", None, self._observation(new)) for _ in range(count)),
            self._put_shared(),
            self._put_own(),
        ]
        own = self._own_written()
        if own is not None and own != writes[-1].id:
            writes.append(Write("DELETE", "Observation", own))
        attempt = self._journal.begin(writes=tuple(writes), bundle=True)
        entries = [_entry(write, new if number == 0 else None) for number, write in enumerate(writes)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        response = await self._send(attempt, "POST", "", bundle)
        if response is not None:
            told = zip(writes, _entries(response), strict=False)
            seen = [_seen_in_entry(write, entry["response"]) for write, entry in told]
            self._journal.answered(attempt, response.status_code, tuple(seen))
            self._remember(attempt)

    async def read(self) -> None:
        known = list(self._versions)
        shared = f"Patient/{self._shared_id()}"
        await self._read(self._random.choice(known) if known and self._random.random() < 0.5 else shared)

    async def find(self) -> None:
        """What was acknowledged is found, once, under its identifier."""
        if not self._created:
            return
        mark, key = self._random.choice(self._created)
        name = f"find-{self._number}-{mark}"
        response = await self._ask(name, "GET", f"/Patient?identifier={MARKS}|{mark}")
        if response is None or response.status_code >= 500:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        found = [f"Patient/{entry['resource']['id']}" for entry in _entries(response)]
        if found != [key]:
            self.complaints.append(f"{mark}: {key} was acknowledged, a search found {found}")

    async def _read(self, key: str) -> Seen | None:
        attempt = self._journal.begin(reads=key)
        response = await self._send(attempt, "GET", f"/{key}")
        if response is None:
            return None
        if response.status_code != httpx.codes.OK:
            self._journal.answered(attempt, response.status_code)
            return None
        resource = response.json()
        seen = Seen(key, int(resource["meta"]["versionId"]))
        attempt.shown = mark_of(resource)
        self._journal.answered(attempt, response.status_code, (seen,))
        return seen

    async def _write(self, write: Write) -> bool:
        """Whether it was acknowledged."""
        attempt = self._journal.begin(writes=(write,))
        address = f"/{write.type}" if write.id is None else f"/{write.type}/{write.id}"
        headers = {} if write.if_match is None else {"If-Match": f'W/"{write.if_match}"'}
        response = await self._send(attempt, write.method, address, write.content, headers)
        if response is None:
            return False
        seen: tuple[Seen, ...] = ()
        if "location" in response.headers:
            seen = (_seen(response.headers["location"]),)
        elif response.status_code == httpx.codes.NO_CONTENT:
            seen = (_tombstone(write, response.headers["etag"]),)
        self._journal.answered(attempt, response.status_code, seen)
        self._remember(attempt)
        return response.is_success

    def _remember(self, attempt: Attempt) -> None:
        if not attempt.seen:
            return
        for write, seen in zip(attempt.writes, attempt.seen, strict=True):
            if write.method == "POST" and write.type == "Patient":
                self._created.append((write.mark or "", seen.key))
            if write.method == "DELETE":
                self._versions.pop(seen.key, None)
            else:
                self._versions[seen.key] = seen.number

    async def _send(
        self,
        attempt: Attempt,
        method: str,
        address: str,
        content: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response | None:
        response = await self._ask(attempt.name, method, address, content, headers)
        if response is not None and response.status_code >= 500:
            self._journal.answered(attempt, response.status_code)
            response = None
        if response is None:
            await asyncio.sleep(PAUSE_SECONDS)
        return response

    async def _ask(
        self,
        name: str,
        method: str,
        address: str,
        content: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response | None:
        """The answer; None when there is none."""
        try:
            return await self._http.request(
                method, address, json=content, headers={"X-Request-Id": name, **(headers or {})}
            )
        except httpx.TransportError:
            return None

    def _put_shared(self) -> Write:
        id = self._shared_id()
        return Write("PUT", "Patient", id, self._patient(id))

    def _put_own(self) -> Write:
        id = f"own-{self._number}-{self._random.randrange(OWN)}"
        return Write("PUT", "Observation", id, self._observation(f"Patient/{self._shared_id()}", id))

    def _own_written(self) -> str | None:
        """One of its own that is there; with luck."""
        known = [key for key in self._versions if key.startswith(f"Observation/own-{self._number}-")]
        return self._random.choice(known).split("/")[1] if known and self._random.random() < 0.3 else None

    def _shared_id(self) -> str:
        return f"shared-{self._random.randrange(SHARED)}"

    def _patient(self, id: str | None = None) -> dict[str, Any]:
        names = [{"family": f"Muster-{self._random.randrange(1000)}", "given": ["Erika"]}]
        return self._marked("Patient", id, name=names, multipleBirthInteger=self._random.randrange(9))

    def _observation(self, patient: str, id: str | None = None) -> dict[str, Any]:
        large = [{"text": f"{self._random.random()} " * LARGE}] if self._random.random() < 0.01 else []
        return self._marked(
            "Observation",
            id,
            status="final",
            code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            subject={"reference": patient},
            valueInteger=self._random.randrange(200),
            **({"note": large} if large else {}),
        )

    def _marked(self, type: str, id: str | None, **stated: Any) -> dict[str, Any]:
        self._marks += 1
        mark = f"mark-{self._journal.seed}-{self._number}-{self._marks}"
        return {
            "resourceType": type,
            **({} if id is None else {"id": id}),
            "identifier": [{"system": MARKS, "value": mark}],
            **stated,
        }


def _entry(write: Write, full_url: str | None) -> dict[str, Any]:
    address = write.type if write.id is None else f"{write.type}/{write.id}"
    entry: dict[str, Any] = {"request": {"method": write.method, "url": address}}
    if full_url is not None:
        entry["fullUrl"] = full_url
    if write.content is not None:
        entry["resource"] = write.content
    return entry


def _entries(response: httpx.Response) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = response.json().get("entry", [])
    return entries


def _seen_in_entry(write: Write, response: Mapping[str, str]) -> Seen:
    return _seen(response["location"]) if "location" in response else _tombstone(write, response["etag"])


def _tombstone(write: Write, etag: str) -> Seen:
    return Seen(f"{write.type}/{write.id}", int(etag.removeprefix('W/"').removesuffix('"')))


def _seen(location: str) -> Seen:
    type, id, _, number = location.rsplit("/", 3)[-4:]
    return Seen(f"{type.rsplit('/', 1)[-1]}/{id}", int(number))
