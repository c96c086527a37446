"""
What SearchParameters declare, kept beside them in `state`, in the transaction that writes them.

* `search-parameter/<id>`: what a SearchParameter that is in force says (`declared`), its `status`, and
  in `passes`, by type, which pass over the type has to end before it is complete.
* `reindex/<type>`: the passes over a type, by number (passes.py).

A change moves the epoch, so each write that is indexed otherwise is prepared again, and of two that
declare at once one commits and the other is planned anew. What is removed leaves its document, as
`removing`, until nothing has entries of it any more.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.resource import from_text
from fhir_server.search.declared.catalogue import Catalogue, Declared
from fhir_server.search.declared.declaring import TYPE, clashing, declared_in
from fhir_server.search.predicates.version import Version
from fhir_server.store.database import Database
from fhir_server.store.documents import Document
from fhir_server.store.epoch import EPOCH_ID, epoch_of, move_parameters
from fhir_server.store.faults import translated

KIND: Final = "search-parameter"
PASSES: Final = "reindex"

Status = Literal["building", "active", "failed", "removing"]


class Standing(msgspec.Struct, frozen=True):
    """
    A declared search parameter and how far it has come.

    `failed`: some resource would have more index entries than it may; it is not answered.
    """

    declared: Declared
    status: Status
    passes: dict[str, int]


async def declare(database: Database, session: AsyncClientSession, versions: Iterable[Version]) -> None:
    """
    Put what these versions of SearchParameters declare in force, as they are written.

    Raises Unprocessable when two of them, or one and another that is in force, have a code in common.
    """
    known = await standings(database, session)
    changed: dict[str, Standing | None] = {}
    for version in versions:
        before = known.get(version.key.id)
        declared = _declared(version)
        if _stays(before, declared):
            continue
        _require_unlike(declared, known)
        types = (declared.types if declared else frozenset()) | (
            before.declared.types if before else frozenset()
        )
        numbers = await _asked(database, types, session)
        kept = declared or (before.declared if before else None)
        assert kept is not None, "nothing that was nothing has changed"
        standing = Standing(kept, "building" if declared else "removing", numbers)
        changed[version.key.id] = known[version.key.id] = standing
    if changed:
        await move_parameters(database, session, indexed=True)
        await database.state.bulk_write(
            [
                UpdateOne({"_id": f"{KIND}/{id}"}, {"$set": {"value": msgspec.to_builtins(one)}}, upsert=True)
                for id, one in sorted(changed.items())
            ],
            session=session,
        )


async def standings(database: Database, session: AsyncClientSession | None = None) -> dict[str, Standing]:
    """All of them, by the id of the SearchParameter. Raises what the driver raises."""
    cursor = database.state.find({"_id": {"$gt": f"{KIND}/", "$lt": f"{KIND}0"}}, session=session)
    return {
        fields["_id"].partition("/")[2]: msgspec.convert(_plain(fields["value"]), Standing)
        for fields in await cursor.to_list()
    }


async def catalogue(database: Database) -> Catalogue:
    """What is in force now. The epoch is read first, so it is never newer than what it stands for."""
    with translated():
        epoch = epoch_of(await database.resources.find_one({"_id": EPOCH_ID}))
        found = await standings(database)
    in_force = {id: one for id, one in sorted(found.items()) if one.status != "removing"}
    return Catalogue(
        epoch.parameters,
        epoch.indexed,
        tuple(one.declared for one in in_force.values()),
        frozenset(id for id, one in in_force.items() if one.status == "active"),
    )


async def ask(database: Database, types: Iterable[str]) -> None:
    """A pass over each of `types`, from its beginning, for whoever reindexes."""
    with translated():
        await _asked(database, frozenset(types), None)


def _declared(version: Version) -> Declared | None:
    return None if version.body is None else declared_in(from_text(version.body), version.key.id)


def _stays(before: Standing | None, declared: Declared | None) -> bool:
    if before is None or before.status == "removing":
        return declared is None
    return before.declared == declared


def _require_unlike(declared: Declared | None, known: Mapping[str, Standing]) -> None:
    if declared is None:
        return
    other = clashing(declared, (one.declared for one in known.values() if one.status != "removing"))
    if other is not None:
        raise Unprocessable(f"{TYPE}/{other.id} defines `{declared.code}` already", f"{TYPE}.code")


async def _asked(
    database: Database, types: frozenset[str], session: AsyncClientSession | None
) -> dict[str, int]:
    """Ask for a pass over each type; the number of each."""
    if not types:
        return {}
    names = sorted(types)
    await database.state.bulk_write(
        [UpdateOne({"_id": f"{PASSES}/{name}"}, {"$inc": {"value.asked": 1}}, upsert=True) for name in names],
        session=session,
    )
    cursor = database.state.find({"_id": {"$in": [f"{PASSES}/{name}" for name in names]}}, session=session)
    return {
        fields["_id"].partition("/")[2]: int(fields["value"]["asked"]) for fields in await cursor.to_list()
    }


def _plain(value: Document) -> Document:
    """Numbers of the database are numbers of Python."""
    return {**value, "passes": {name: int(number) for name, number in value["passes"].items()}}
