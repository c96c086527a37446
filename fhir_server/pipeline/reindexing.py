"""
Reindexing: while the server serves, one process of all makes what passes are asked for.

A pass reads each living resource of a type and gives it the entry that the search parameters in force
make of its JSON (fhir_server/store/passes.py says how, and why nothing is missed). It is done a few
resources at a time, and rests so that it takes no more than a share of this process's time: who
searches meanwhile is not to notice. What is read belongs to nobody's request: it leaves this process
only as index entries, and the wish for it is recorded where it was made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import structlog

from fhir_server.pipeline.consents import Consents
from fhir_server.pipeline.full_text import reindexed
from fhir_server.pipeline.parameters import SearchParameters
from fhir_server.pipeline.writing import PREPARED_AT_ONCE_BYTES_MAX
from fhir_server.r4.errors import FhirError, TooLarge
from fhir_server.r4.resource import Key, from_text
from fhir_server.search.declared.catalogue import in_force_from
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.values.words import FullText
from fhir_server.store.limits import StoreLimits
from fhir_server.store.passes import Found, LeaseLost, Pass, Rewritten, rewritten
from fhir_server.store.slices import in_slices
from fhir_server.store.store import Store

log = structlog.get_logger()

IDLE_SECONDS: Final = 1.0
"""Between two looks whether there is something to do."""
RESOURCES_AT_ONCE: Final = 25
REST_SECONDS_MAX: Final = 2.0
TOLD_SECONDS: Final = 10.0
"""Between two lines of the log about one pass."""

Told = Callable[[Pass], None]
"""Hears of each step of a pass."""


@dataclass(slots=True)
class Reindexing:
    """`share` is the part of this process's time that a pass may take."""

    store: Store
    parameters: SearchParameters
    consents: Consents
    base_url: str
    zone: tzinfo
    full_text: FullText
    share: float
    limits: StoreLimits
    told: Told

    async def run_for_ever(self) -> None:
        """Make passes whenever this process is the one to make them, until cancelled."""
        in_force_from(self.parameters)
        while True:
            try:
                await self._make_wanted()
            except (FhirError, LeaseLost) as gone:
                log.warning("reindex_interrupted", reason=type(gone).__name__)
            await asyncio.sleep(IDLE_SECONDS)

    async def _make_wanted(self) -> None:
        passes = self.store.passes
        if not any(one.is_wanted for one in (await passes.all()).values()) or not await passes.is_ours():
            return
        async with passes.kept():
            while True:
                wanted = [one for one in (await passes.all()).values() if one.is_wanted]
                if not wanted:
                    return
                # What was begun is ended first, whoever began it.
                await self._make(min(wanted, key=lambda one: (one.begun == one.ended, one.type)))

    async def _make(self, one: Pass) -> None:
        one = await self.store.passes.begun(one)
        # What another process began it may have given other words.
        from_the_start = not one.position
        log.info("reindex_began", type=one.type, count=one.done, state=f"of {one.total}")
        last_told = time.monotonic()
        while True:
            started = time.perf_counter()
            # By the newest parameters, whoever declared them: an entry is never made by older ones.
            await self.consents.refreshed()
            found = await self.store.passes.some(one, RESOURCES_AT_ONCE)
            if not found:
                break
            one = await self._stepped(one, found)
            self.told(one)
            if time.monotonic() - last_told >= TOLD_SECONDS:
                last_told = time.monotonic()
                log.info("reindex_goes_on", type=one.type, count=one.done, state=f"of {one.total}")
            await self._rest(time.perf_counter() - started)
        if from_the_start and not one.refused:
            await reindexed(self.store, one.type, self.full_text)
        await self.store.passes.ended(one)
        log.info("reindex_ended", type=one.type, count=one.done, state=f"{one.changed} entries changed")
        if one.refused:
            log.error("reindex_refused", type=one.type, count=one.refused, reason="too many index entries")

    async def _stepped(self, one: Pass, found: list[Found]) -> Pass:
        changes: list[Rewritten] = []
        refused = 0
        async for each in in_slices(found):
            try:
                changed = rewritten(each, await self._entry(each), self.limits)
            except TooLarge:
                refused += 1
                continue
            if changed is not None:
                changes.append(changed)
        return await self.store.passes.stepped(one, found, changes, refused)

    async def _entry(self, found: Found) -> Entry:
        text = found.version.body
        assert text is not None, "what is living has a text"
        if len(text) <= PREPARED_AT_ONCE_BYTES_MAX:
            return self._extracted(text, found.version.key)
        return await asyncio.to_thread(self._extracted, text, found.version.key)

    def _extracted(self, text: bytes, key: Key) -> Entry:
        return extract(from_text(text), key, base_url=self.base_url, zone=self.zone, full_text=self.full_text)

    async def _rest(self, worked_seconds: float) -> None:
        """So long that what was done is the share of it."""
        await asyncio.sleep(min(REST_SECONDS_MAX, worked_seconds * (1 / self.share - 1)))
