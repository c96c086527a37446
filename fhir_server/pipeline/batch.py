"""
A batch: each entry on its own, by `perform`. What one refuses does not touch the others.

https://hl7.org/fhir/R4/http.html#batch
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fhir_server.interactions.entries import Entry, patch_in
from fhir_server.interactions.submission import Item, Order, Raw
from fhir_server.pipeline.entries import Answers, Performing, in_stages
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.writing import key_for
from fhir_server.preparing.preparing import Opened
from fhir_server.r4.interaction import (
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Interaction,
    Patch,
    Update,
)
from fhir_server.r4.resource import Key, from_text
from fhir_server.store.slices import in_slices

ENTRIES_AT_ONCE: Final = 32


async def batch(bundle: Opened, entries: Sequence[Entry], performing: Performing) -> Answers:
    """The answers of all entries, done stage by stage; the batch's own record is durable by then."""
    answers: Answers = {}
    turns = asyncio.Semaphore(ENTRIES_AT_ONCE)

    async def answer(entry: Entry, item: Item | None) -> None:
        async with turns:
            if isinstance(item, Raw):
                answers[entry.index] = await performing.answer(
                    entry, _with_text(entry.interaction, item.text)
                )
            else:
                answers[entry.index] = await performing.answer(entry, entry.interaction, item)

    for stage in in_stages(entries):
        orders = [
            order
            async for entry in in_slices(stage)
            if (order := _order(entry, performing.services)) is not None
        ]
        async for items in bundle.prepared(orders, None):
            await asyncio.gather(*(answer(entries[item.index], item) for item in items))
        ordered = {order.index for order in orders}
        others = [entry for entry in stage if entry.index not in ordered]
        for start in range(0, len(others), ENTRIES_AT_ONCE):
            await asyncio.gather(*(answer(entry, None) for entry in others[start : start + ENTRIES_AT_ONCE]))
    services = performing.services
    await services.store.append(performing.trail.succeeded(200, services.clock()))
    return answers


def _order(entry: Entry, services: Services) -> Order | None:
    """What is to be prepared of it; what a condition or a patch decides on is wanted as it is."""
    match entry.interaction:
        case Create(if_none_exist=None) | Update() as interaction:
            is_update = isinstance(interaction, Update)
            return Order(entry.index, key_for(interaction, services), carries_id=is_update)
        case Create(type=resource_type):
            return Order(entry.index, Key(resource_type, ""), raw=True)
        case ConditionalUpdate(criteria=criteria) | ConditionalPatch(criteria=criteria):
            return Order(entry.index, Key(criteria.type, ""), raw=True)
        case Patch(key=key):
            return Order(entry.index, key, raw=True)
        case _:
            return None


def _with_text(interaction: Interaction, text: bytes) -> Interaction:
    match interaction:
        case Create() | ConditionalUpdate():
            return replace(interaction, content=text)
        case Patch() | ConditionalPatch():
            kind, content = patch_in(from_text(text))
            return replace(interaction, kind=kind, content=content)
        case _:
            raise AssertionError("only these are wanted as they are")
