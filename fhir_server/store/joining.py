"""
Who matches, and whom they refer to: what a search over several resources is put together from.

Nothing here reads a resource's text, and nothing goes on for ever: whoever asks says how many
resources may match, and hears None when there are more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from pymongo.asynchronous.cursor import AsyncCursor

from fhir_server.search.predicates.containing import loosened
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate, all_of
from fhir_server.store.bodies import put_back
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, own_tokens, version
from fhir_server.store.faults import costly
from fhir_server.store.filters import to_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.narrowing import narrowed
from fhir_server.store.resolving import resolving
from fhir_server.store.routes import hint_among, hint_for

_KEYS: Final = {"_id": 1}
_CONTAINED: Final = {"in": 1, "n": 1, "t": 1, "seq": 1, "m": 1}
_TOKENS: Final = {"body": 0, "rng": 0, "in": 0, "size": 0}


class Joining:
    """Asks `resources` for keys and references."""

    def __init__(self, database: Database, *, limits: StoreLimits) -> None:
        self._database = database
        self._limits = limits

    async def keys(self, predicate: Predicate, *, types: frozenset[str] | None, most: int) -> set[str] | None:
        """`Type/id` of the living resources for which it is true; None when these are more than `most`."""
        found: set[str] = set()
        async with self._asked(predicate, types, _KEYS, most) as cursor:
            async for fields in cursor:
                found.add(fields["_id"])
        return found if len(found) <= most else None

    async def containers(
        self, inside: Predicate, within: Predicate, *, types: frozenset[str], most: int
    ) -> set[str] | None:
        """
        `Type/id` of the living resources for which `within` and `inside` are true.

        `inside`, of containing.py, is judged here as far as the database cannot. None when what may contain
        a match is more than `most`.
        """
        found: set[str] = set()
        count = 0
        async with self._asked(all_of(loosened(inside), within), types, _CONTAINED, most) as cursor:
            async for fields in cursor:
                count += 1
                if matches(inside, version(fields)):
                    found.add(fields["_id"])
        return found if count <= most else None

    async def references(
        self, predicate: Predicate, names: Iterable[str], *, types: frozenset[str] | None, most: int
    ) -> set[str] | None:
        """
        The tokens under one of `names` of the living resources for which it is true.

        None when more than `most` resources match, or have more than `most` such tokens together.
        """
        starts = tuple(f"{name}|" for name in names)
        found: set[str] = set()
        count = 0
        async with self._asked(predicate, types, _TOKENS, most) as cursor:
            async for fields in cursor:
                count += 1
                if count > most or len(found) > most:
                    return None
                found.update(token for token in await self._tokens(fields) if token.startswith(starts))
        return found if len(found) <= most else None

    async def _tokens(self, fields: Document) -> Iterable[str]:
        await put_back(self._database.bodies, [fields])
        tokens: tuple[str, ...] | list[str] = fields["whole"][0] if "whole" in fields else own_tokens(fields)
        return tokens

    @asynccontextmanager
    async def _asked(
        self, predicate: Predicate, types: frozenset[str] | None, projection: Document, most: int
    ) -> AsyncIterator[AsyncCursor[Document]]:
        wanted, of_types = narrowed(predicate, types)
        with costly():
            async with (
                resolving(self._database, wanted, of_types, self._limits) as (found, session),
                self._database.resources.find(
                    to_filter(found, types=of_types),
                    projection,
                    hint=hint_among(found) or hint_for(found, of_types, most),
                    limit=most + 1,
                    batch_size=most + 1,
                    max_time_ms=self._limits.search_milliseconds_max,
                    session=session,
                ) as cursor,
            ):
                yield cursor
