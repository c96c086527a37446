"""
The store: versions of resources, the audit ledger and what processes share, in MongoDB.

Everything that returns is durable (majority, journaled), everything that is read is majority-
committed. What arrives together shares round trips. Nothing that must be right lives in one
process: any number of processes may open the same database. docs/storage.md has the collections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from random import Random
from typing import Self

from audit.chain import Link
from audit.record import Record
from fhir_server.r4.resource import Key
from fhir_server.search.asking.results import SortKey
from fhir_server.search.declared.catalogue import Catalogue
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.store.app_state import AppStateCodes
from fhir_server.store.attempts import Attempts
from fhir_server.store.clients import Clients
from fhir_server.store.conditions import matching
from fhir_server.store.database import Database
from fhir_server.store.declaring import ask, catalogue
from fhir_server.store.ending import ended
from fhir_server.store.epoch import Epoch, consents_changed_after
from fhir_server.store.explaining import Explained, Watch, explained
from fhir_server.store.faults import costly, translated
from fhir_server.store.grants import Grants
from fhir_server.store.history import History
from fhir_server.store.inbox import Inbox
from fhir_server.store.joining import Joining
from fhir_server.store.labels import tokens_of
from fhir_server.store.ledger import Ledger, LinkPage
from fhir_server.store.limits import StoreLimits
from fhir_server.store.living import others_serve_with
from fhir_server.store.pages import Page
from fhir_server.store.passes import Passes
from fhir_server.store.plan import Planner
from fhir_server.store.positions import Position
from fhir_server.store.reader import Fetched, Reader
from fhir_server.store.revocations import Revocations
from fhir_server.store.search import Search
from fhir_server.store.sequence import Sequence as Sequences
from fhir_server.store.sessions import release_sessions
from fhir_server.store.shards import Shards
from fhir_server.store.state import State
from fhir_server.store.tickets import Tickets
from fhir_server.store.unit import Condition, Unit
from fhir_server.store.users import Users
from fhir_server.store.watermark import Clock, Watermark
from fhir_server.store.writer import Writer


class Store:
    """One process's view of the database, made by `open`. Other faces: `state`, `inbox`, `grants`, ..."""

    def __init__(
        self,
        database: Database,
        *,
        owner: str,
        limits: StoreLimits,
        clock: Clock,
        random: Random,
        watermark: Watermark,
    ) -> None:
        self._database = database
        self._limits = limits
        self._owner = owner
        self._watermark = watermark
        self._shards = Shards(database, owner=owner, limits=limits)
        self._reader = Reader(database, limits=limits)
        self._search = Search(database, limits=limits, clock=clock, watermark=watermark)
        self._joining = Joining(database, limits=limits)
        self._history = History(database, limits=limits)
        self._ledger = Ledger(database, self._shards, limits=limits)
        attempts = Attempts(
            database,
            self._shards,
            Planner(Sequences(random), limits),
            limits=limits,
            watermark=watermark,
            random=random,
        )
        self._writer = Writer(attempts, limits=limits)
        loop = asyncio.get_running_loop()
        self._leases = [
            loop.create_task(self._shards.renew_for_ever()),
            loop.create_task(watermark.publish_for_ever()),
        ]
        self.state = State(database)
        self.revocations = Revocations(database)
        self.app_state = AppStateCodes(database)
        self.clients = Clients(database, self.state, self.app_state)
        self.grants = Grants(database)
        self.tickets = Tickets(database)
        self.users = Users(database)
        self.inbox = Inbox(database, limits=limits)
        self.passes = Passes(database, owner=owner, limits=limits)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Clock,
        random: Random,
        name: str = "fhir",
        app_name: str = "fhir-server",
        limits: StoreLimits | None = None,
    ) -> Self:
        """
        The store in the database `name` at `url`.

        `app_name` tells processes apart (see `release_sessions`). Raises Unsuitable when this
        database can never be served from, Unavailable when it does not answer.
        """
        limits = limits or StoreLimits()
        owner = f"{app_name}.{random.getrandbits(64):016x}"
        async with AsyncExitStack() as unless_opened:
            database = await Database.open(url, name, app_name=app_name, limits=limits)
            unless_opened.push_async_callback(database.close)
            watermark = Watermark(database, owner=owner, app_name=app_name, limits=limits, clock=clock)
            await watermark.register()
            store = cls(database, owner=owner, limits=limits, clock=clock, random=random, watermark=watermark)
            unless_opened.pop_all()
        return store

    async def close(self) -> None:
        """Finishes what was accepted, and leaves the ledger's shards to others."""
        await asyncio.gather(self._writer.drained(), self._ledger.drained(), self._reader.drained())
        for lease in self._leases:
            await ended(lease)
        await asyncio.gather(self._shards.release(), self._watermark.release())
        await self._database.close()

    def current(self, key: Key, *, tokens: bool) -> Awaitable[Fetched]:
        """The newest version, deleted or not (None: never used), and the epoch of the same fetch."""
        return self._reader.current(key, tokens=tokens)

    def currents(self, keys: Iterable[Key], *, text: bool = True) -> Awaitable[dict[Key, Version]]:
        """The newest versions of those that there are; without `text` what is alive has an empty one."""
        return self._reader.currents(keys, text=text)

    def version(self, key: Key, number: int) -> Awaitable[Version | None]:
        """Version `number`, current or superseded."""
        return self._reader.version(key, number)

    async def is_empty(self) -> bool:
        """Has no resource ever been stored?"""
        with translated():
            return await self._database.resources.find_one({"ty": {"$exists": True}}, {"_id": 1}) is None

    def epoch(self) -> Awaitable[Epoch]:
        """How often what all processes agree on has changed so far."""
        return self._reader.epoch()

    def others_serve_with(self, name: str, value: str) -> Awaitable[list[str]]:
        """Values other than `value` that living processes have for the setting `name`; we have it now."""
        return others_serve_with(self._database, self._owner, name, value)

    def watermark(self) -> Awaitable[int]:
        """Milliseconds since 1970: all that was stamped before is committed, or never will be."""
        return self._watermark.now()

    def page(
        self,
        predicate: Predicate,
        *,
        types: frozenset[str] | None,
        order: Sequence[SortKey],
        after: Position | None,
        count: int,
        tokens: bool,
        before: Predicate | None = None,
    ) -> Awaitable[Page]:
        """
        Up to `count` living resources of `types` (None: any) for which `predicate` is true.

        `before` is what is asked of superseded versions, if something else.
        """
        return self._search.page(
            predicate,
            types=types,
            order=order,
            after=after,
            count=count,
            tokens=tokens,
            before=before,
        )

    def count(
        self, predicate: Predicate, *, types: frozenset[str] | None, most: int | None = None
    ) -> Awaitable[int]:
        """How many living resources of `types` (None: any) `predicate` is true of; `most` if more."""
        return self._search.count(predicate, types=types, most=most)

    async def explained(self, watch: Watch) -> list[Explained]:
        """How the database runs what `watch` has kept. Raises TooCostly when a part of it takes too long."""
        database = self._database.resources.database
        with costly():
            return await explained(database, watch.asked, self._limits.search_milliseconds_max)

    def keys(self, predicate: Predicate, *, types: frozenset[str], most: int) -> Awaitable[set[str] | None]:
        """`Type/id` of those for which it is true; None when they are more than `most`."""
        return self._joining.keys(predicate, types=types, most=most)

    def references(
        self, predicate: Predicate, names: Iterable[str], *, types: frozenset[str], most: int
    ) -> Awaitable[set[str] | None]:
        """Their tokens under one of `names`; None when these, or the resources, are more than `most`."""
        return self._joining.references(predicate, names, types=types, most=most)

    def containers(
        self, inside: Predicate, within: Predicate, *, types: frozenset[str], most: int
    ) -> Awaitable[set[str] | None]:
        """`Type/id` of those for which `within` and, of what they contain, `inside` is true; as `keys`."""
        return self._joining.containers(inside, within, types=types, most=most)

    def labels(
        self, predicate: Predicate, parameters: Sequence[str], *, types: frozenset[str]
    ) -> Awaitable[dict[str, set[str]]]:
        """By parameter, each value that living resources of `types` have; `predicate` is true of them."""
        return tokens_of(self._database, predicate, parameters, types=types, limits=self._limits)

    def history(
        self,
        predicate: Predicate,
        *,
        type: str | None,
        id: str | None,
        since: datetime | None,
        at: tuple[datetime, datetime] | None,
        after: Position | None,
        count: int,
    ) -> Awaitable[Page]:
        """Versions of one resource, a type or all, newest first; a tombstone is judged by what it deleted."""
        return self._history.page(predicate, type=type, id=id, since=since, at=at, after=after, count=count)

    def consents_changed_after(self, epoch: int) -> Awaitable[list[Version]]:
        """The Consents changed since that epoch, as they are now."""
        return consents_changed_after(self._database, epoch)

    def catalogue(self) -> Awaitable[Catalogue]:
        """The search parameters that are declared beside R4's own, as they are now."""
        return catalogue(self._database)

    def ask_for_passes(self, types: Iterable[str]) -> Awaitable[None]:
        """Each living resource of `types` is to be indexed anew (passes.py)."""
        return ask(self._database, types)

    def commit(self, unit: Unit) -> Awaitable[list[Version]]:
        """All writes of the unit and its records, or nothing; the version each write left. Raises Moved."""
        return self._writer.commit(unit)

    async def matching(self, conditions: Sequence[Condition]) -> list[tuple[str, ...]]:
        """The keys (`Type/id`, sorted) that match each condition now."""
        with costly():
            return await matching(self._database, conditions, limits=self._limits)

    def append(self, record: Record) -> Awaitable[object]:
        """The record is in the ledger, durably."""
        return self._ledger.append(record)

    def links(self, shard: str, *, after: int = 0) -> AsyncIterator[Link]:
        """The links of one shard of the ledger, in order."""
        return self._ledger.links(shard, after=after)

    def shards(self) -> Awaitable[list[str]]:
        """The names of the ledger's shards."""
        return self._ledger.shards()

    def link(self, shard: str, position: int) -> Awaitable[Link | None]:
        """One link of the ledger."""
        return self._ledger.find(shard, position)

    def link_page(
        self, predicate: Predicate, *, newest_first: bool, after: Position | None, count: int
    ) -> Awaitable[LinkPage]:
        """Links that may have AuditEvents for which `predicate` is true, by time."""
        return self._ledger.page(predicate, newest_first=newest_first, after=after, count=count)

    def release_sessions(self, app_name: str) -> Awaitable[int]:
        """Ends the open transactions of a process that died."""
        return release_sessions(self._database, app_name)
