"""
Passes over a type: each of its living resources is read once and given the index entry it should have.

A pass is asked for by number, `reindex/<type>` in `state`:

* `asked` the last one that somebody wants, `begun` the last that was begun, `ended` the last that ended
* of the one that was begun: `position` the last key that was looked at, `done` resources of `total`,
  `changed` those whose entry was another, `refused` those that would have too large an entry

One process at a time makes passes: it holds a lease, and each step commits in a transaction that
renews the lease, writes entries and moves the position. A process that slept over its lease finds that
it cannot commit; one that takes over goes on from the position. An entry is written only over the version
that it was made of: whoever wrote another one meanwhile has indexed it by the same parameters, or by
newer ones. For that a pass begins only when each transaction has ended that was open when it was asked for.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/currentOp/
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import pymongo
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure, PyMongoError

from fhir_server.r4.errors import FhirError
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from fhir_server.store.bodies import put_back
from fhir_server.store.database import Database
from fhir_server.store.declaring import KIND, PASSES, Standing, standings
from fhir_server.store.documents import EPOCH, Document, document, history_id, version
from fhir_server.store.ending import ended
from fhir_server.store.epoch import move_parameters
from fhir_server.store.faults import is_passing, translated
from fhir_server.store.limits import StoreLimits
from fhir_server.store.overflow import set_aside_entry
from fhir_server.store.plan import require_storable, weighed

LEASE: Final = "lease/reindex"
LEASE_SECONDS: Final = 10
RELEASE_SECONDS_MAX: Final = 2.0
STEP_SECONDS_MAX: Final = 8.0
TRANSACTION_SECONDS_MAX: Final = 65.0
"""Where the database does not say which transactions are open: they are given up after 60 s."""
POLL_SECONDS: Final = 0.05


class LeaseLost(Exception):
    """Another process makes passes now."""


class Pass(msgspec.Struct, frozen=True):
    """How far the passes over a type have come."""

    type: str
    asked: int = 0
    begun: int = 0
    ended: int = 0
    position: str = ""
    done: int = 0
    total: int = 0
    changed: int = 0
    refused: int = 0

    @property
    def is_wanted(self) -> bool:
        """Is there something to do?"""
        return self.ended < self.asked


@dataclass(frozen=True, slots=True)
class Found:
    """A living resource: its version, and the document that it was read from."""

    version: Version
    fields: Document


class Passes:
    """One process's part in it."""

    def __init__(self, database: Database, *, owner: str, limits: StoreLimits) -> None:
        self._database = database
        self._owner = owner
        self._limits = limits
        self._keeping = False

    async def all(self) -> dict[str, Pass]:
        """Those of each type that ever had one."""
        with translated():
            found = await self._database.state.find(
                {"_id": {"$gt": f"{PASSES}/", "$lt": f"{PASSES}0"}}
            ).to_list()
        return {one.type: one for one in map(_pass, found)}

    async def standings(self) -> dict[str, Standing]:
        """Each declared search parameter, by the id of its SearchParameter."""
        with translated():
            return await standings(self._database)

    async def is_ours(self) -> bool:
        """Take the lease if it is free; whether this process makes passes now."""
        state = self._database.state
        free = {
            "_id": LEASE,
            "$or": [{"value.owner": self._owner}, {"$expr": {"$lt": ["$value.until", "$$NOW"]}}],
        }
        with translated():
            if (await state.update_one(free, self._renewed())).matched_count:
                return True
            unowned = {"value": {"owner": None, "until": EPOCH}}
            await state.update_one({"_id": LEASE}, {"$setOnInsert": unowned}, upsert=True)
            return bool((await state.update_one(free, self._renewed())).matched_count)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the lease that is ours, whatever is done meanwhile, and leave it then."""
        self._keeping = True
        renewing = asyncio.get_running_loop().create_task(self._renew())
        try:
            yield
        finally:
            # Whoever cancels may do so again while this waits.
            self._keeping = False
            await ended(renewing)
            await self._let_go()

    async def _renew(self) -> None:
        while self._keeping:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with contextlib.suppress(FhirError):
                await self.is_ours()

    async def _let_go(self) -> None:
        """If it cannot be said, it lapses."""
        mine = {"_id": LEASE, "value.owner": self._owner}
        with contextlib.suppress(PyMongoError), pymongo.timeout(RELEASE_SECONDS_MAX):
            await self._database.state.update_one(mine, {"$set": {"value.until": EPOCH}})

    async def begun(self, one: Pass) -> Pass:
        """
        The pass under way, or one for all that has been asked for by now.

        Raises LeaseLost, Unavailable.
        """
        if one.begun > one.ended:
            return one
        await self._others_ended()
        with translated():
            total = await self._database.resources.count_documents({"tok": one.type})
        new = Pass(one.type, one.asked, one.asked, one.ended, total=total)
        fields = {f"value.{name}": getattr(new, name) for name in _OF_ONE_PASS}
        await self._step(lambda session: self._set(new.type, fields, session))
        return new

    async def some(self, one: Pass, count: int) -> list[Found]:
        """The next living resources, in the order of their ids; of each all that was set aside is there."""
        where = {
            "_id": {"$gt": f"{one.type}/{one.position}", "$lt": f"{one.type}0"},
            "m": {"$ne": "DELETE"},
        }
        with translated():
            found = await self._database.resources.find(where, sort=[("_id", 1)], limit=count).to_list()
            for fields in found:
                await put_back(self._database.bodies, [fields])
        return [Found(version(fields), fields) for fields in found]

    async def stepped(
        self, one: Pass, looked_at: Sequence[Found], changes: Iterable[Rewritten], refused: int
    ) -> Pass:
        """Write the entries that are others, and where the pass is now. Raises LeaseLost, Unavailable."""
        changes = list(changes)
        new = msgspec.structs.replace(
            one,
            position=looked_at[-1].version.key.id,
            done=one.done + len(looked_at),
            changed=one.changed + len(changes),
            refused=one.refused + refused,
        )
        fields = {f"value.{name}": getattr(new, name) for name in _OF_A_STEP}

        async def write(session: AsyncClientSession) -> None:
            await self._set(new.type, fields, session)
            plain = [each.update for each in changes if not each.moves_aside]
            if plain:
                await self._database.resources.bulk_write(plain, session=session)
            for each in changes:
                if each.moves_aside:
                    await self._write_with_aside(each, session)

        await self._step(write)
        return new

    async def ended(self, one: Pass) -> None:
        """The pass has been through all: what waited for it alone is complete. Raises as `stepped`."""

        async def write(session: AsyncClientSession) -> None:
            fields = {"value.ended": one.begun, "value.failed": one.refused > 0}
            await self._set(one.type, fields, session)
            await self._complete(session)

        await self._step(write)

    async def _complete(self, session: AsyncClientSession) -> None:
        state = self._database.state
        cursor = state.find({"_id": {"$gt": f"{PASSES}/", "$lt": f"{PASSES}0"}}, session=session)
        found = await cursor.to_list()
        ended = {one.type: one.ended for one in map(_pass, found)}
        failed = {one["_id"].partition("/")[2] for one in found if one["value"].get("failed")}
        moved = False
        for id, standing in (await standings(self._database, session)).items():
            if any(ended.get(name, 0) < number for name, number in standing.passes.items()):
                continue
            status = "active" if failed.isdisjoint(standing.declared.types) else "failed"
            if standing.status == "removing":
                await state.delete_one({"_id": f"{KIND}/{id}"}, session=session)
            elif standing.status not in (status, "active"):
                await state.update_one(
                    {"_id": f"{KIND}/{id}"}, {"$set": {"value.status": status}}, session=session
                )
                moved = True
        if moved:
            await move_parameters(self._database, session, indexed=False)

    async def _set(self, type: str, fields: Document, session: AsyncClientSession) -> None:
        await self._database.state.update_one({"_id": f"{PASSES}/{type}"}, {"$set": fields}, session=session)

    async def _write_with_aside(self, change: Rewritten, session: AsyncClientSession) -> None:
        """What does not fit into the version any more takes the place of what did not before."""
        written = await self._database.resources.bulk_write([change.update], session=session)
        if not written.matched_count:
            # It has been superseded, and what it set aside is its own for good.
            return
        bodies = self._database.bodies
        # `0` is the character behind `/`; texts are named by digits.
        await bodies.delete_many(
            {"_id": {"$gt": f"{change.name}/p", "$lt": f"{change.name}0"}}, session=session
        )
        if change.aside:
            await bodies.insert_many(change.aside, session=session)

    async def _step(self, write: Callable[[AsyncClientSession], Awaitable[None]]) -> None:
        """One transaction, again as long as it only meets others. Raises LeaseLost, Unavailable."""
        until = asyncio.get_running_loop().time() + STEP_SECONDS_MAX
        with translated():
            while True:
                try:
                    async with self._database.transaction(STEP_SECONDS_MAX) as session:
                        await self._require_ours(session)
                        await write(session)
                        await session.commit_transaction()
                except PyMongoError as error:
                    if not is_passing(error) or asyncio.get_running_loop().time() >= until:
                        raise
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    return

    async def _require_ours(self, session: AsyncClientSession) -> None:
        mine = {"_id": LEASE, "value.owner": self._owner}
        renewed = await self._database.state.update_one(mine, self._renewed(), session=session)
        if not renewed.matched_count:
            raise LeaseLost

    def _renewed(self) -> list[Document]:
        until = {"$add": ["$$NOW", LEASE_SECONDS * 1000]}
        return [{"$set": {"value": {"owner": self._owner, "until": until}}}]

    async def _others_ended(self) -> None:
        """Returns when each transaction that is open now has ended."""
        with translated():
            try:
                before = await self._open_transactions()
            except OperationFailure:
                # Not everybody may ask.
                await asyncio.sleep(TRANSACTION_SECONDS_MAX)
                return
            until = asyncio.get_running_loop().time() + TRANSACTION_SECONDS_MAX
            while before and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(POLL_SECONDS)
                before &= await self._open_transactions()

    async def _open_transactions(self) -> set[tuple[object, int]]:
        stages: list[Document] = [
            {"$currentOp": {"allUsers": True, "idleSessions": True}},
            {"$match": {"transaction.parameters.txnNumber": {"$exists": True}}},
            {"$project": {"lsid": 1, "transaction.parameters.txnNumber": 1}},
        ]
        cursor = await self._database.client.admin.aggregate(stages)
        return {
            (found["lsid"]["id"], int(found["transaction"]["parameters"]["txnNumber"]))
            async for found in cursor
        }


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The update of one document to another entry, and what it sets aside in `bodies`."""

    update: UpdateOne
    name: str
    aside: list[Document]
    had_aside: bool

    @property
    def moves_aside(self) -> bool:
        """Is anything set aside, or was it?"""
        return self.had_aside or bool(self.aside)


def rewritten(found: Found, entry: Entry, limits: StoreLimits) -> Rewritten | None:
    """
    What makes `entry` that of the version; None when it is.

    Whose the resource is stays as it is: nobody may see more or less of it by this. Raises TooLarge.
    """
    before, version_ = found.fields, found.version
    entry = msgspec.structs.replace(entry, patients=version_.entry.patients)
    weighed(msgspec.structs.replace(version_, entry=entry), limits)
    fields = document(msgspec.structs.replace(version_, entry=entry))
    name = history_id(str(version_.key), version_.number)
    aside = set_aside_entry(fields, name, limits)
    require_storable(fields, limits)
    wanted = {member: value for member, value in fields.items() if member not in _OF_THE_VERSION}
    present = {member: value for member, value in before.items() if member not in _OF_THE_VERSION}
    if wanted == present:
        return None
    gone = {member: "" for member in present if member not in wanted}
    change: Document = {"$set": wanted, **({"$unset": gone} if gone else {})}
    where = {"_id": before["_id"], "n": version_.number}
    return Rewritten(UpdateOne(where, change), name, aside, "more" in before)


def _pass(fields: Document) -> Pass:
    value = fields["value"]
    numbers = {name: int(value[name]) for name in _NUMBERS if name in value}
    return Pass(fields["_id"].partition("/")[2], position=value.get("position", ""), **numbers)


_OF_THE_VERSION: Final = frozenset(
    ("_id", "ty", "n", "t", "seq", "m", "body", "size", "whole", "ce", "pt", "was", "of")
)
"""Members of a document that are not made of its entry, or that reindexing leaves alone (documents.py)."""
_NUMBERS: Final = ("asked", "begun", "ended", "done", "total", "changed", "refused")
_OF_A_STEP: Final = ("position", "done", "changed", "refused")
_OF_ONE_PASS: Final = ("begun", "total", *_OF_A_STEP)
