"""
Batch and transaction: many interactions in one request.

A batch is `perform` for each entry. A transaction admits and prepares every entry and commits
all writes as one unit; its reads are performed right after. Each entry has its own record, tied
to the Bundle's by the request id.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.record import Record
from fhir_server.interactions.answers import Answer, Bundled
from fhir_server.interactions.bundles import response_entry, responses
from fhir_server.interactions.entries import Entry, entries_of, within
from fhir_server.interactions.prepare import Prepared, parsed
from fhir_server.interactions.references import resolved, unresolved
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import (
    Planned,
    Writing,
    admit_write,
    key_for,
    plan,
    prepare_resource,
    with_targets_patients,
)
from fhir_server.r4.errors import FhirError, Invalid, Unprocessable
from fhir_server.r4.interaction import Batch, Create, Delete, Interaction, Transaction, Update
from fhir_server.r4.resource import Key, Resource
from fhir_server.search.version import Version
from fhir_server.smart.caller import Caller, Contact
from fhir_server.store.unit import Unit

Perform = Callable[[Interaction, Caller, Contact, Services], Awaitable[Answer]]

ENTRIES_AT_ONCE: Final = 32
_YIELD_EVERY: Final = 8
"""Preparing an entry takes up to a millisecond: others get a turn after this many."""
_ORDER: Final = (Delete, Create, Update)
"""https://hl7.org/fhir/R4/http.html#trules; everything else comes last."""


async def run_batch(
    interaction: Batch, caller: Caller, contact: Contact, services: Services, perform: Perform
) -> Bundled:
    """Each entry on its own: what one refuses does not touch the others."""
    bundle = parsed(interaction.content)
    settings = services.settings
    entries = entries_of(bundle, "batch", settings.base_url, entries_max=settings.bundle_entries_max)
    answers: dict[int, Answer | FhirError] = {}
    turns = asyncio.Semaphore(ENTRIES_AT_ONCE)

    async def answer(entry: Entry) -> None:
        async with turns:
            try:
                answers[entry.index] = await perform(entry.interaction, caller, contact, services)
            except FhirError as refusal:
                answers[entry.index] = within(refusal, entry.index)

    for stage in _stages(entries):
        await asyncio.gather(*(answer(entry) for entry in stage))
    return _responses("batch-response", entries, answers, services)


async def run_transaction(
    interaction: Transaction,
    caller: Caller,
    contact: Contact,
    services: Services,
    trail: Trail,
    perform: Perform,
) -> Bundled:
    """All entries or none. A refusal names its entry, and nothing at all is kept."""
    bundle = parsed(interaction.content)
    settings = services.settings
    entries = entries_of(bundle, "transaction", settings.base_url, entries_max=settings.bundle_entries_max)
    writing = [entry for stage in _stages(entries)[:-1] for entry in stage]
    await services.consents.current()
    planned = await _planned(writing, caller, contact, services, trail)

    def records(versions: Sequence[Version], now: datetime) -> list[Record]:
        each = [one.record(version, now) for one, version in zip(planned, versions, strict=True)]
        concerned()
        return [trail.succeeded(200, now), *each]

    def concerned() -> None:
        for one in planned:
            trail.touches(one.trail.patients)

    try:
        versions = await services.store.commit(Unit([one.write for one in planned], records))
    except FhirError:
        concerned()
        raise
    answers: dict[int, Answer | FhirError] = {
        entry.index: one.answer(version)
        for entry, one, version in zip(writing, planned, versions, strict=True)
    }
    for entry in _stages(entries)[-1]:
        try:
            answers[entry.index] = await perform(entry.interaction, caller, contact, services)
        except FhirError as refusal:
            # The writes are committed: only this read can still be refused.
            answers[entry.index] = within(refusal, entry.index)
    return _responses("transaction-response", entries, answers, services)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A writing entry, the key it writes, and its resource with references resolved."""

    entry: Entry
    interaction: Writing
    key: Key
    resource: Resource | None


async def _planned(
    entries: Sequence[Entry], caller: Caller, contact: Contact, services: Services, whole: Trail
) -> list[Planned]:
    """The writes of all entries; `whole`, the Bundle's trail, learns whom they concern."""
    placed = _placed(entries, services)
    prepared = await _prepared(placed, caller, services)
    together = {
        str(one.key): ready.entry.patients
        for one, ready in zip(placed, prepared, strict=True)
        if ready is not None
    }
    planned = []
    for one, ready in zip(placed, prepared, strict=True):
        trail = Trail(one.interaction, caller, contact)
        try:
            access = admit_write(one.interaction, caller, services)
            placed_among = ready and await with_targets_patients(ready, together, access, trail, services)
            planned.append(plan(one.interaction, placed_among, access, trail).in_entry(one.entry.index))
        except FhirError as refusal:
            raise within(refusal, one.entry.index) from refusal
        finally:
            whole.touches(trail.patients)
    return planned


def _placed(entries: Sequence[Entry], services: Services) -> list[_Placed]:
    """Give each entry its key, and each reference between them its target."""
    keys = [key_for(_writing(entry), services) for entry in entries]
    _require_distinct(entries, keys)
    addresses = {
        address: str(key)
        for entry, key in zip(entries, keys, strict=True)
        for address in _addresses(entry, services.settings.base_url)
    }
    return [
        _Placed(entry, _writing(entry), key, _resolved(entry, addresses))
        for entry, key in zip(entries, keys, strict=True)
    ]


async def _prepared(placed: Sequence[_Placed], caller: Caller, services: Services) -> list[Prepared | None]:
    """Judge all contents. Raises Unprocessable with the issues of every entry that has some."""
    prepared: list[Prepared | None] = []
    refusals: list[FhirError] = []
    for number, one in enumerate(placed):
        if number % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)
        try:
            admit_write(one.interaction, caller, services)
            if isinstance(one.interaction, Delete) or one.resource is None:
                prepared.append(None)
            else:
                prepared.append(prepare_resource(one.resource, one.interaction, one.key, services))
        except FhirError as refusal:
            if not isinstance(refusal, Unprocessable):
                raise within(refusal, one.entry.index) from refusal
            refusals.append(within(refusal, one.entry.index))
    if refusals:
        issues = [issue for refusal in refusals for issue in refusal.issues]
        raise Unprocessable("The transaction breaks rules of FHIR R4", issues=issues)
    return prepared


def _writing(entry: Entry) -> Writing:
    interaction = entry.interaction
    assert isinstance(interaction, Create | Update | Delete), "reads are in the last stage"
    return interaction


def _require_distinct(entries: Sequence[Entry], keys: Sequence[Key]) -> None:
    seen: dict[Key, int] = {}
    for entry, key in zip(entries, keys, strict=True):
        if key in seen:
            told = f"{key} is written by entry {seen[key]} too; a transaction writes a resource once"
            raise Invalid(told, entry.expression)
        seen[key] = entry.index


def _addresses(entry: Entry, base_url: str) -> list[str]:
    """The addresses by which other entries may refer to this one."""
    if entry.full_url is None:
        return []
    relative = entry.full_url.removeprefix(base_url + "/")
    return [entry.full_url] if relative == entry.full_url else [entry.full_url, relative]


def _resolved(entry: Entry, addresses: dict[str, str]) -> Resource | None:
    interaction = entry.interaction
    if not isinstance(interaction, Create | Update):
        return None
    resource = resolved(parsed(interaction.content), addresses)
    left_over = next(unresolved(resource), None)
    if left_over is not None:
        told = "The reference names an entry that is not in this Bundle"
        raise within(Invalid(told, left_over), entry.index)
    return resource


def _stages(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries in the order in which the specification has them processed."""
    stages = [[entry for entry in entries if isinstance(entry.interaction, kind)] for kind in _ORDER]
    return [*stages, [entry for entry in entries if not isinstance(entry.interaction, _ORDER)]]


def _responses(
    kind: str, entries: Sequence[Entry], answers: dict[int, Answer | FhirError], services: Services
) -> Bundled:
    base_url = services.settings.base_url
    told = (response_entry(base_url, answers[entry.index], with_resource=False) for entry in entries)
    return responses(kind, told, services.clock())
