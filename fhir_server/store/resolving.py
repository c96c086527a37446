"""
Questions about entries whose tokens are not all in one document (overflow.py).

Each part of a predicate that such tokens could answer is looked up first; the markers of the
versions that have one are added to it as alternatives. What is then asked is about one document
again, so And, Or, Not, pages and counts are as exact as ever. Both look-ups are of one snapshot:
between them nothing changes.

Tokens are asked as they are by searches that cannot meet a type of OVERFLOWING_TYPES; words of any type
may be too many.

https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.r4.errors import TooCostly
from fhir_server.search.predicates.predicate import (
    AnyToken,
    AnyWord,
    OfPatients,
    OnlyOfPatients,
    Predicate,
    TokenBetween,
    TokenContaining,
    TokenPrefix,
    WordPrefix,
    all_of,
    any_of,
    none_of,
)
from fhir_server.search.predicates.rewriting import leaves_of, rewritten
from fhir_server.store.database import Database
from fhir_server.store.documents import PATIENT_PREFIX, Document
from fhir_server.store.filters import any_of as one_of
from fhir_server.store.filters import containing, from_to, starting_with, starting_with_any
from fhir_server.store.limits import StoreLimits
from fhir_server.store.overflow import OVERFLOWING_TYPES


@asynccontextmanager
async def resolving(
    database: Database, predicate: Predicate, types: frozenset[str] | None, limits: StoreLimits
) -> AsyncIterator[tuple[Predicate, AsyncClientSession | None]]:
    """
    `predicate` as it can be asked of one document, and the snapshot to ask it of (None: any).

    Raises TooCostly when more versions than `overflow_matches_max` have a token that it names.
    """
    leaves = _leaves(predicate, types, limits)
    if not leaves:
        yield predicate, None
        return
    async with database.client.start_session(snapshot=True) as session:
        yield await _resolved(database, predicate, leaves, session, limits), session


async def resolved(
    database: Database,
    predicate: Predicate,
    types: frozenset[str] | None,
    session: AsyncClientSession | None,
    limits: StoreLimits,
) -> Predicate:
    """The same within a transaction, which is a snapshot already."""
    return await _resolved(database, predicate, _leaves(predicate, types, limits), session, limits)


async def _resolved(
    database: Database,
    predicate: Predicate,
    leaves: Mapping[Predicate, Document],
    session: AsyncClientSession | None,
    limits: StoreLimits,
) -> Predicate:
    markers: dict[Predicate, frozenset[str]] = {}
    most = limits.overflow_matches_max
    for leaf, where in leaves.items():
        found = await database.bodies.find(
            where,
            {"_id": 0, "of": 1},
            limit=most + 1,
            batch_size=most + 1,
            max_time_ms=limits.search_milliseconds_max,
            session=session,
        ).to_list()
        if len(found) > most:
            raise TooCostly("The search is about too many large resources; narrow it")
        if found:
            markers[leaf] = frozenset(fields["of"] for fields in found)
    return rewritten(predicate, lambda part: _marked(part, markers)) if markers else predicate


def _leaves(
    predicate: Predicate, types: frozenset[str] | None, limits: StoreLimits
) -> dict[Predicate, Document]:
    """The parts that tokens put aside could answer, with the filter that finds these."""
    words_alone = types is not None and types.isdisjoint(OVERFLOWING_TYPES)
    found: dict[Predicate, Document] = {}
    for leaf in leaves_of(predicate):
        if words_alone and not isinstance(leaf, AnyWord | WordPrefix):
            continue
        where = _asked(leaf, limits)
        if where is not None:
            found[leaf] = where
    return found


def _asked(leaf: Predicate, limits: StoreLimits) -> Document | None:
    """The filter for what of `bodies` answers the leaf; None when each version answers it by itself."""
    match leaf:
        case AnyToken(values=values):
            askable = [value for value in values if value.startswith(_STARTS)]
            return one_of("tok", askable) if askable else None
        case TokenPrefix(prefix=prefix):
            # Some token of each name is kept with the version, so only a value has to be looked up.
            name, parameter, value = (*prefix.split("|", 2), "", "")[:3]
            if not (parameter and value and name in OVERFLOWING_TYPES):
                return None
            return starting_with("tok", prefix)
        case TokenBetween(low=low, below=below):
            return from_to("tok", low, below) if low.startswith(_STARTS) else None
        case TokenContaining(start=start, text=text):
            return containing("tok", start, text) if start.startswith(_STARTS) else None
        case AnyWord(values=values):
            return one_of("wrd", values)
        case WordPrefix(prefixes=prefixes):
            return starting_with_any("wrd", prefixes)
        case OfPatients(ids=ids):
            return one_of("tok", [PATIENT_PREFIX + id for id in ids]) if ids else None
        case OnlyOfPatients(ids=ids):
            # Fewer than stay with the version cannot be all of its patients.
            if len(ids) < limits.name_tokens_inline_max:
                return None
            return _of_others([PATIENT_PREFIX + id for id in ids])
        case _:
            return None


def _of_others(named: list[str]) -> Document:
    """Documents with a patient who is not named."""
    bounds: dict[str, Any] = {"$gte": PATIENT_PREFIX, "$lt": _BEHIND_PATIENTS, "$nin": named}
    return {"tok": {"$elemMatch": bounds}}


def _marked(part: Predicate, markers: Mapping[Predicate, frozenset[str]]) -> Predicate | None:
    """The part, if it was looked up, with the markers of what was found."""
    found = markers.get(part)
    if found is None:
        return None
    match part:
        case AnyToken(values=values):
            return AnyToken(values | found)
        case AnyWord(values=values):
            return AnyWord(values | found)
        case WordPrefix():
            return any_of(part, AnyWord(found))
        case OnlyOfPatients():
            return all_of(part, none_of(AnyToken(found)))
        case _:
            return any_of(part, AnyToken(found))


_STARTS: Final = tuple(f"{type}|" for type in sorted(OVERFLOWING_TYPES))
_BEHIND_PATIENTS: Final = chr(ord(PATIENT_PREFIX) + 1)
