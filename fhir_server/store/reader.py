"""
Reads that arrive together are fetched together: one `$in` for all of them.

Each read comes with the epoch (epoch.py) of the same fetch.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from pymongo.errors import PyMongoError

from fhir_server.r4.errors import FhirError, TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version
from fhir_server.store.bodies import is_aside, put_back, without_text
from fhir_server.store.database import Collection, Database
from fhir_server.store.documents import WITHOUT_TOKENS, Document, history_id, version
from fhir_server.store.epoch import EPOCH_ID, Epoch, epoch_of
from fhir_server.store.faults import refusal, translated
from fhir_server.store.grouping import Group
from fhir_server.store.limits import StoreLimits
from fhir_server.store.pages import weight_of

Fetched = tuple[Version | None, Epoch]
"""A version, None when there is none, and the epoch of the fetch."""

_Found = tuple[Version | Document | None, Epoch]
"""The same; a document where the text is yet to be fetched."""


class Reader:
    """Finds versions by their keys."""

    def __init__(self, database: Database, *, limits: StoreLimits) -> None:
        self._resources = database.resources
        self._bodies = database.bodies
        self._limits = limits
        self._whole = self._group(database.resources, None)
        self._bare = self._group(database.resources, WITHOUT_TOKENS)
        self._superseded = self._group(database.history, None)

    async def current(self, key: Key, *, tokens: bool) -> Fetched:
        """
        The newest version, deleted or not, and the epoch; None when the id was never used.

        Without `tokens` its entry has only the patients.
        """
        found, epoch = await (self._whole if tokens else self._bare).submit(f"{key.type}/{key.id}")
        return await self._completed(found, tokens=tokens) if isinstance(found, dict) else found, epoch

    async def currents(self, keys: Iterable[Key], *, text: bool = True) -> dict[Key, Version]:
        """
        The newest versions of those that there are; without `text` what is alive has an empty one.

        Raises TooCostly when they weigh more than a page may.
        """
        ids = list(dict.fromkeys(map(str, keys)))
        size = self._limits.read_group_keys_max
        found: dict[Key, Version] = {}
        weight = 0
        with translated():
            for start in range(0, len(ids), size):
                cursor = self._resources.find(
                    {"_id": {"$in": ids[start : start + size]}},
                    None if text else {"body": 0},
                    batch_size=size,
                    max_time_ms=self._limits.operation_milliseconds_max,
                )
                documents = await cursor.to_list()
                if not text:
                    without_text(documents)
                weight += sum(map(weight_of, documents))
                if text and weight > self._limits.page_bytes_max:
                    raise TooCostly(f"They have more than {self._limits.page_bytes_max} bytes together")
                await put_back(self._bodies, documents)
                found.update({new.key: new for new in map(version, documents)})
        return found

    async def epoch(self) -> Epoch:
        """The epoch now."""
        _, epoch = await self._bare.submit(EPOCH_ID)
        return epoch

    async def version(self, key: Key, number: int) -> Version | None:
        """Version `number`, current or superseded."""
        # The current one first: a version only ever moves from there to the history.
        newest, _ = await self.current(key, tokens=True)
        if newest is None or number > newest.number or number < 1:
            return None
        if number == newest.number:
            return newest
        older, _ = await self._superseded.submit(history_id(str(key), number))
        return await self._completed(older, tokens=True) if isinstance(older, dict) else older

    async def drained(self) -> None:
        """Returns when all that was asked is answered."""
        await asyncio.gather(*(group.drained() for group in (self._whole, self._bare, self._superseded)))

    async def _completed(self, fields: Document, *, tokens: bool) -> Version:
        """What was set aside is fetched by who asked for it alone."""
        with translated():
            await put_back(self._bodies, [fields], tokens=tokens)
        return version(fields)

    def _group(self, collection: Collection, projection: Document | None) -> Group[str, _Found]:
        async def fetch(ids: Sequence[str]) -> Sequence[_Found | FhirError]:
            distinct = set(ids)
            distinct.add(EPOCH_ID)
            try:
                # One batch: there is no second round trip for a large group.
                cursor = collection.find(
                    {"_id": {"$in": list(distinct)}},
                    projection,
                    batch_size=len(distinct) + 1,
                    max_time_ms=self._limits.operation_milliseconds_max,
                )
                found = await cursor.to_list()
            except PyMongoError as error:
                return [refusal(error) for _ in ids]
            epoch = Epoch()
            versions: dict[str, Version | Document] = {}
            for fields in found:
                if fields["_id"] == EPOCH_ID:
                    epoch = epoch_of(fields)
                else:
                    versions[fields["_id"]] = fields if is_aside(fields) else version(fields)
            return [(versions.get(id), epoch) for id in ids]

        return Group(
            fetch, size_max=self._limits.read_group_keys_max, groups_max=self._limits.read_groups_max
        )
