"""
What the living resources within a restriction are labelled with: each token of `_tag`, say, once.

Nothing is counted and nothing is scanned: the database is asked for one resource with a token that
is not known yet, by the index of tokens, until there is none. So it takes as many questions as there
are labels, however many resources have them.

https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/multikey-index-bounds/
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Final

from fhir_server.r4.errors import TooCostly
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.store.database import Database
from fhir_server.store.documents import Document
from fhir_server.store.faults import costly
from fhir_server.store.filters import starting_with, to_filter
from fhir_server.store.limits import StoreLimits
from fhir_server.store.narrowing import narrowed
from fhir_server.store.resolving import resolving

_TYPES_AT_ONCE: Final = 8


async def tokens_of(
    database: Database,
    predicate: Predicate,
    parameters: Sequence[str],
    *,
    types: frozenset[str],
    limits: StoreLimits,
) -> dict[str, set[str]]:
    """
    By parameter, what follows its name in the tokens of the resources for which `predicate` is true.

    Raises TooCostly when there are more than `labels_max` of one parameter, or it takes too long.
    """
    turns = asyncio.Semaphore(_TYPES_AT_ONCE)

    async def of_type(type: str, parameter: str) -> list[str]:
        async with turns:
            return await _distinct(database, predicate, type, f"{type}|{parameter}|", limits)

    with costly():
        async with asyncio.timeout(limits.search_seconds_max):
            found = {
                parameter: await asyncio.gather(*(of_type(type, parameter) for type in sorted(types)))
                for parameter in parameters
            }
    return {parameter: set(chain.from_iterable(each)) for parameter, each in found.items()}


async def _distinct(
    database: Database, predicate: Predicate, type: str, prefix: str, limits: StoreLimits
) -> list[str]:
    wanted, of_types = narrowed(predicate, frozenset((type,)))
    known: list[str] = []
    async with resolving(database, wanted, of_types, limits) as (resolved, session):
        restricted = to_filter(resolved, types=of_types)
        while len(known) <= limits.labels_max:
            fields = await database.resources.find_one(
                {"$and": [_beyond(prefix, known), restricted]},
                {"tok": 1},
                max_time_ms=limits.search_milliseconds_max,
                session=session,
            )
            if fields is None:
                return [token.removeprefix(prefix) for token in known]
            known += {token for token in fields["tok"] if token.startswith(prefix)}.difference(known)
    raise TooCostly(f"There are more than {limits.labels_max} labels of one kind")


def _beyond(prefix: str, known: Sequence[str]) -> Document:
    """A token that starts so and is none of these: the index has bounds on both sides of each."""
    bounds = dict(starting_with("tok", prefix)["tok"]["$elemMatch"])
    if known:
        bounds["$nin"] = list(known)
    return {"tok": {"$elemMatch": bounds}}
