"""
One message into the FHIR server, exactly once: look, translate, submit; again when it changed.

Conflicts (somebody else wrote the same Patient meanwhile) are tried again from the start, at
once and a bounded number of times. A server that is away is asked again with growing pauses, for
a bounded time. Before a second attempt the Provenance of the message is looked for: it is
there exactly if an attempt was committed whose answer was lost.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from adapters.fhir_client import Conflict, FhirClient, Refused, Unreachable
from adapters.fhir_json import Resource
from adapters.hl7v2.acknowledge import Fault
from adapters.hl7v2.draft import Draft, Found
from adapters.hl7v2.er7 import Message
from adapters.hl7v2.identifiers import Token
from adapters.hl7v2.locations import faults_of
from adapters.hl7v2.messages import TRANSLATORS
from adapters.hl7v2.messages.subjects import Lookup, lookup
from adapters.hl7v2.reading import Reading, Rejection, unmapped
from adapters.hl7v2.segments.evn import provenance
from adapters.hl7v2.transaction import Present, provenance_id, transaction
from adapters.hl7v2.turns import Turns


@dataclass(frozen=True, slots=True)
class Patience:
    """
    How long to try. `unreachable_seconds_max` is below what senders wait for an answer (mostly 30 s);
    it does not bound a message that nobody will send again.
    """

    conflicts_max: int = 12
    pause_seconds: float = 0.2
    pause_seconds_max: float = 5.0
    unreachable_seconds_max: float = 20.0

    def pause(self, failure: int) -> float:
        """The pause after the nth failure in a row, from 1."""
        return min(self.pause_seconds * 2.0 ** min(failure - 1, 30), self.pause_seconds_max)


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    Committed. `unmapped` names what FHIR has not been told; None when the commit was found, not
    made, because then nobody looked.
    """

    unmapped: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Not committed, because of what the message says."""

    faults: Sequence[Fault]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Not known to be committed; it can be tried again. `reason` is for the log."""

    reason: str


Outcome = Delivered | Undelivered | Unanswered

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parcel:
    """
    A readable message on its way.

    `recorded` is when it was first received: an attempt years later says the same. `tried_before`
    is true when an earlier attempt may have been committed.
    """

    message: Message
    reading: Reading
    inbox_id: str
    recorded: str
    tried_before: bool

    @property
    def request_id(self) -> str:
        return f"hl7v2-{self.inbox_id}"[:64]


class Delivery:
    """Delivers to one FHIR server. `jitter` gives numbers in [0, 1)."""

    def __init__(
        self,
        client: FhirClient,
        patience: Patience,
        jitter: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self._patience = patience
        self._jitter = jitter
        self._sleep = sleep
        self._turns = Turns()

    async def deliver(self, parcel: Parcel, *, give_up: bool) -> Outcome:
        """
        What became of it. Without `give_up` it is never `Unanswered`: waits until the server is back.
        """
        failures, conflicts, waited = 0, 0, 0.0
        tried = parcel.tried_before
        seconds_max = self._patience.unreachable_seconds_max if give_up else math.inf
        while True:
            try:
                return await self._attempt(parcel, tried=tried)
            except Conflict:
                conflicts += 1
                if conflicts > self._patience.conflicts_max:
                    return Undelivered([Fault("206", "", "Others keep changing what the message is about")])
                pause = self._patience.pause_seconds * self._jitter() * min(conflicts, 5)
            except Refused as refused:
                return Undelivered(faults_of(refused.issues, (), ()))
            except Unreachable as unreachable:
                failures += 1
                asked = min(unreachable.retry_after_seconds or 0.0, self._patience.pause_seconds_max)
                pause = max(asked, self._patience.pause(failures) * (0.5 + self._jitter() / 2))
                waited += pause
                if waited > seconds_max:
                    return Unanswered(unreachable.reason)
            tried = True
            await self._sleep(pause)

    async def _attempt(self, parcel: Parcel, *, tried: bool) -> Outcome:
        """Raises Conflict or Unreachable, and Refused when not even looking is allowed."""
        try:
            wanted = lookup(parcel.message, parcel.reading)
            turns = (parcel.reading.identity, *(token.query for token in wanted.patients))
            async with self._turns.of(turns):
                if tried and await self._committed(parcel):
                    return Delivered(None)
                return await self._committing(parcel, wanted)
        except Rejection as rejection:
            return Undelivered([Fault(rejection.code, rejection.location, str(rejection))])

    async def _committing(self, parcel: Parcel, wanted: Lookup) -> Outcome:
        """Raises Rejection too."""
        message, reading = parcel.message, parcel.reading
        header = reading.header
        found = Found(
            *await asyncio.gather(
                self._by_identifier("Patient", wanted.patients, parcel),
                self._by_identifier("Encounter", wanted.encounters, parcel),
            )
        )
        drafts = TRANSLATORS[header.code, header.event](message, reading, found)
        told = provenance(
            message,
            reading,
            id=provenance_id(reading.identity),
            recorded=parcel.recorded,
            inbox_id=parcel.inbox_id,
        )
        planned = transaction(drafts, await self._present(drafts, found, parcel), told, self._client.base_url)
        try:
            await self._client.submit(planned.bundle, request_id=parcel.request_id)
        except Conflict:
            raise
        except Refused as refused:
            types = [entry["resource"]["resourceType"] for entry in planned.bundle["entry"]]
            return Undelivered(faults_of(refused.issues, planned.origins, types))
        return Delivered(unmapped(message, reading))

    async def _committed(self, parcel: Parcel) -> bool:
        id = provenance_id(parcel.reading.identity)
        return await self._client.read("Provenance", id, request_id=parcel.request_id) is not None

    async def _by_identifier(
        self, resource_type: str, tokens: Iterable[Token], parcel: Parcel
    ) -> dict[Token, list[Resource]]:
        return {
            token: await self._search(resource_type, "identifier", token.query, parcel) for token in tokens
        }

    async def _present(self, drafts: Sequence[Draft], found: Found, parcel: Parcel) -> Present:
        """What there is of the resources that the drafts are to be put onto."""
        known = [one for ones in (*found.patients.values(), *found.encounters.values()) for one in ones]
        present = {f"{one['resourceType']}/{one['id']}": one for one in known}
        wanted: dict[str, set[str]] = {}
        for draft in drafts:
            if draft.mode != "replace" and draft.reference not in present:
                wanted.setdefault(draft.type, set()).add(draft.id)
        searches = (
            self._search(resource_type, "_id", ",".join(sorted(ids)), parcel)
            for resource_type, ids in wanted.items()
        )
        for ones in await asyncio.gather(*searches):
            present |= {f"{one['resourceType']}/{one['id']}": one for one in ones}
        return present

    async def _search(self, resource_type: str, name: str, value: str, parcel: Parcel) -> list[Resource]:
        return await self._client.search(resource_type, {name: value}, request_id=parcel.request_id)
