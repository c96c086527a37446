"""
Batch and transaction: many interactions in one request.

A batch is `perform` for each entry. A transaction admits and prepares every entry and commits
all writes as one unit; its reads are performed right after. Each entry has its own record, tied
to the Bundle's by the request id. Whatever is done for each entry is done in slices, so that a
Bundle of 25,000 keeps nobody waiting.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from audit.record import Record
from fhir_server.interactions.access import Access
from fhir_server.interactions.answers import Answer, Bundled
from fhir_server.interactions.bundles import response_entry, responses
from fhir_server.interactions.entries import Entry, entry_of, within
from fhir_server.interactions.prepare import Prepared
from fhir_server.interactions.submission import ISSUES_MAX, Order, Ready, Refused
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import (
    Planned,
    Writing,
    admit_write,
    key_for,
    plan,
    with_targets_patients,
)
from fhir_server.preparing.preparing import Opened
from fhir_server.r4.errors import FhirError, Invalid, Issue, Unprocessable
from fhir_server.r4.interaction import Create, Delete, Interaction, Submission, Update
from fhir_server.r4.resource import Key
from fhir_server.search.version import Version
from fhir_server.smart.caller import Caller, Contact
from fhir_server.store.slices import in_slices
from fhir_server.store.unit import Unit


class Perform(Protocol):
    """`perform`, which comes as an argument: a batch is one for each entry."""

    def __call__(
        self,
        interaction: Interaction,
        caller: Caller,
        contact: Contact,
        services: Services,
        *,
        content: Ready | Refused | None = None,
    ) -> Awaitable[Answer]: ...


ENTRIES_AT_ONCE: Final = 32
_ORDER: Final = (Delete, Create, Update)
"""https://hl7.org/fhir/R4/http.html#trules; everything else comes last."""

_Answers = dict[int, Answer | FhirError]


async def run_submission(
    interaction: Submission,
    caller: Caller,
    contact: Contact,
    services: Services,
    trail: Trail,
    perform: Perform,
) -> Bundled:
    """What the Bundle asks for; it says whether it is a batch or a transaction."""
    running = _Running(caller, contact, services, trail, perform)
    async with services.preparing.turn(interaction):
        async with services.preparing.opened(interaction) as bundle:
            trail.turns_out_to_be(bundle.kind)
            entries = [
                entry_of(index, asked, services.settings.base_url)
                async for index, asked in in_slices(enumerate(bundle.asked))
            ]
            if bundle.kind == "batch":
                answers = await running.batch(bundle, entries)
            else:
                planned = await running.planned(bundle, entries)
        if bundle.kind == "transaction":
            answers = await running.committed(entries, planned)
        return await running.told(bundle.kind, entries, answers)


@dataclass(frozen=True, slots=True)
class _Running:
    """One submission of one caller; `trail` is that of the Bundle."""

    caller: Caller
    contact: Contact
    services: Services
    trail: Trail
    perform: Perform

    async def batch(self, bundle: Opened, entries: Sequence[Entry]) -> _Answers:
        """Each entry on its own: what one refuses does not touch the others."""
        answers: _Answers = {}
        turns = asyncio.Semaphore(ENTRIES_AT_ONCE)

        async def answer(entry: Entry, content: Ready | Refused | None) -> None:
            async with turns:
                answers[entry.index] = await self._performed(entry, content)

        for stage in _stages(entries):
            orders = [self._order(entry) async for entry in in_slices(stage) if _has_content(entry)]
            async for items in bundle.prepared(orders, None):
                await asyncio.gather(*(answer(entries[item.index], item) for item in items))
            others = [entry for entry in stage if not _has_content(entry)]
            for start in range(0, len(others), ENTRIES_AT_ONCE):
                some = others[start : start + ENTRIES_AT_ONCE]
                await asyncio.gather(*(answer(entry, None) for entry in some))
        await self.services.store.append(self.trail.succeeded(200, self.services.clock()))
        return answers

    async def planned(self, bundle: Opened, entries: Sequence[Entry]) -> list[Planned]:
        """The writes of a transaction, none of which has happened."""
        services = self.services
        writing = _writes(entries)
        await services.consents.current()
        orders = [self._order(entry) async for entry in in_slices(writing)]
        await _require_distinct(orders)
        accesses = [self._admitted(entry) async for entry in in_slices(writing)]
        ready = await _all_ready(bundle, orders)
        together = {str(one.key): one.entry.patients async for one in in_slices(ready.values())}
        return [
            await self._plan(entry, ready.get(entry.index), access, together)
            async for entry, access in in_slices(zip(writing, accesses, strict=True))
        ]

    async def committed(self, entries: Sequence[Entry], planned: Sequence[Planned]) -> _Answers:
        """All writes or none; then the reads, of which each can still be refused by itself."""

        def records(versions: Sequence[Version], now: datetime) -> Iterator[Record]:
            for one, version in zip(planned, versions, strict=True):
                yield one.record(version, now)
                self.trail.touches(one.trail.patients)
            yield self.trail.succeeded(200, now)

        try:
            versions = await self.services.store.commit(Unit([one.write for one in planned], records))
        except FhirError:
            for one in planned:
                self.trail.touches(one.trail.patients)
            raise
        writing = _writes(entries)
        answers: _Answers = {
            entry.index: one.answer(version)
            for entry, one, version in zip(writing, planned, versions, strict=True)
        }
        for entry in _stages(entries)[-1]:
            answers[entry.index] = await self._performed(entry, None)
        return answers

    async def told(self, kind: str, entries: Sequence[Entry], answers: _Answers) -> Bundled:
        """The Bundle that answers, in the order of the one that asked."""
        base_url = self.services.settings.base_url
        told = [
            response_entry(base_url, answers[entry.index], with_resource=False)
            async for entry in in_slices(entries)
        ]
        return responses(f"{kind}-response", told, self.services.clock())

    async def _performed(self, entry: Entry, content: Ready | Refused | None) -> Answer | FhirError:
        try:
            return await self.perform(
                entry.interaction, self.caller, self.contact, self.services, content=content
            )
        except FhirError as refusal:
            return within(refusal, entry.index)

    def _order(self, entry: Entry) -> Order:
        interaction = _writing(entry)
        key = key_for(interaction, self.services)
        is_update = isinstance(interaction, Update)
        return Order(entry.index, key, has_content=_has_content(entry), carries_id=is_update)

    def _admitted(self, entry: Entry) -> Access:
        try:
            return admit_write(_writing(entry), self.caller, self.services)
        except FhirError as refusal:
            raise within(refusal, entry.index) from refusal

    async def _plan(
        self,
        entry: Entry,
        ready: Prepared | None,
        access: Access,
        together: Mapping[str, tuple[str, ...]],
    ) -> Planned:
        interaction = _writing(entry)
        trail = Trail(interaction, self.caller, self.contact)
        try:
            if ready is not None:
                ready = await with_targets_patients(ready, together, access, trail, self.services)
            return plan(interaction, ready, access, trail).in_entry(entry.index)
        except FhirError as refusal:
            raise within(refusal, entry.index) from refusal
        finally:
            self.trail.touches(trail.patients)


async def _all_ready(bundle: Opened, orders: Sequence[Order]) -> dict[int, Prepared]:
    """
    What is written, by the index of its entry.

    Raises the first refusal that is not for the rules of a resource, else Unprocessable with the
    issues of every entry that has some.
    """
    ready: dict[int, Prepared] = {}
    refused: list[FhirError] = []
    async for items in bundle.prepared(orders, {}):
        for item in items:
            if isinstance(item, Ready):
                ready[item.index] = item.prepared
            else:
                refused.append(within(item.refusal(), item.index))
    if not refused:
        return ready
    if not isinstance(refused[-1], Unprocessable):
        raise refused[-1]
    issues = [issue for one in refused for issue in one.issues]
    if len(issues) >= ISSUES_MAX:
        issues.append(Issue("information", "incomplete", "Entries behind these have not been looked at"))
    raise Unprocessable("The transaction breaks rules of FHIR R4", issues=issues)


def _has_content(entry: Entry) -> bool:
    return isinstance(entry.interaction, Create | Update)


def _writing(entry: Entry) -> Writing:
    interaction = entry.interaction
    assert isinstance(interaction, Create | Update | Delete), "reads are in the last stage"
    return interaction


async def _require_distinct(orders: Sequence[Order]) -> None:
    seen: dict[Key, int] = {}
    async for order in in_slices(orders):
        if order.key in seen:
            told = (
                f"{order.key} is written by entry {seen[order.key]} too; a transaction writes a resource once"
            )
            raise within(Invalid(told), order.index)
        seen[order.key] = order.index


def _writes(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for stage in _stages(entries)[:-1] for entry in stage]


def _stages(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries in the order in which the specification has them processed."""
    stages: list[list[Entry]] = [[] for _ in range(len(_ORDER) + 1)]
    for entry in entries:
        stages[_PLACES.get(type(entry.interaction), len(_ORDER))].append(entry)
    return stages


_PLACES: Final = {kind: place for place, kind in enumerate(_ORDER)}
