"""
What a search asks of the database, kept while somebody wants to have it explained.

Inside `watching` each find, count and aggregation on a collection of ours is kept as the command that it
is, with its hint and order, under the stage it is asked for. `explained` has MongoDB run each of them once
more and tell how. What comes out are names of indexes and numbers: a filter, or the bounds of an index
scan, would tell what was searched for.

MongoDB explains by planning anew, where a search may use a plan that it remembers of one like it.

https://www.mongodb.com/docs/manual/reference/command/explain/,
https://www.mongodb.com/docs/manual/reference/explain-results/
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.store.documents import Document

COMMANDS_MAX: Final = 200
"""Of one search; those beyond are counted, not explained."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as the database was sent it, and the stage it was for."""

    stage: str
    collection: str
    command: Document


@dataclass(slots=True)
class Watch:
    """What was asked so far, and how long each stage has taken; filled while the search runs."""

    asked: list[Asked] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: int = 0

    def keep(self, asked: Asked) -> None:
        """Keep what was asked."""
        if len(self.asked) == COMMANDS_MAX:
            self.left_out += 1
        else:
            self.asked.append(asked)


@dataclass(frozen=True, slots=True)
class Explained:
    """How the database ran one command; `plan` is its tree of stages, without what they looked for."""

    stage: str
    collection: str
    plan: str
    indexes: tuple[str, ...]
    keys_examined: int
    documents_examined: int
    returned: int
    milliseconds: int


_WATCH: Final[ContextVar[Watch | None]] = ContextVar("watch", default=None)
_STAGE: Final[ContextVar[str | None]] = ContextVar("stage", default=None)
"""What is asked outside of a stage is not the search's: the group of reads that happens to begin here."""


@contextmanager
def watching() -> Iterator[Watch]:
    """Keeps what this task, and those it starts, ask of the database."""
    watch = Watch()
    token = _WATCH.set(watch)
    try:
        yield watch
    finally:
        _WATCH.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What is asked in this block is for the stage `name`; a stage within a stage counts for itself alone."""
    watch = _WATCH.get()
    if watch is None:
        yield
        return
    token = _STAGE.set(name)
    before, started = sum(watch.seconds.values()), time.perf_counter()
    try:
        yield
    finally:
        within = sum(watch.seconds.values()) - before
        took = time.perf_counter() - started - within
        watch.seconds[name] = watch.seconds.get(name, 0.0) + took
        _STAGE.reset(token)


class WatchedCollection(AsyncCollection[Document]):
    """A collection that tells the watch, where there is one, what it is asked."""

    def find(self, *args: Any, **kwargs: Any) -> AsyncCursor[Document]:
        if _STAGE.get() is not None:
            given = dict(zip(("filter", "projection"), args, strict=False)) | kwargs
            _keep(self.name, _find(self.name, given))
        return super().find(*args, **kwargs)

    async def count_documents(
        self,
        filter: Mapping[str, Any],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> int:
        if _STAGE.get() is not None:
            limit = [{"$limit": kwargs["limit"]}] if "limit" in kwargs else []
            counted = [{"$match": filter}, *limit, {"$group": {"_id": 1, "n": {"$sum": 1}}}]
            _keep(self.name, _aggregate(self.name, counted, kwargs))
        return await super().count_documents(filter, session, comment, **kwargs)

    async def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AsyncCommandCursor[Document]:
        if _STAGE.get() is not None:
            _keep(self.name, _aggregate(self.name, pipeline, kwargs))
        return await super().aggregate(pipeline, session, let, comment, **kwargs)


async def explained(
    database: AsyncDatabase[Document], asked: Sequence[Asked], milliseconds_max: int
) -> list[Explained]:
    """How the database runs each command, one after the other, each within the time limit of a search."""
    return [
        _told(
            one,
            await database.command(
                {"explain": one.command, "verbosity": "executionStats", "maxTimeMS": milliseconds_max}
            ),
        )
        for one in asked
    ]


def _keep(collection: str, command: Document) -> None:
    watch, name = _WATCH.get(), _STAGE.get()
    if watch is not None and name is not None:
        watch.keep(Asked(name, collection, command))


def _find(collection: str, given: Mapping[str, Any]) -> Document:
    command: Document = {"find": collection, "filter": given.get("filter") or {}}
    for name in ("projection", "limit", "skip"):
        if given.get(name):
            command[name] = given[name]
    for name in ("sort", "hint"):
        if given.get(name):
            command[name] = _as_document(given[name])
    return command


def _aggregate(collection: str, pipeline: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Document:
    command: Document = {"aggregate": collection, "pipeline": list(pipeline), "cursor": {}}
    if given.get("hint"):
        command["hint"] = _as_document(given["hint"])
    return command


def _as_document(keys: Any) -> Any:
    """The driver takes an order, or an index by its keys, as pairs."""
    return dict(keys) if isinstance(keys, list) else keys


def _told(asked: Asked, reply: Mapping[str, Any]) -> Explained:
    statistics: Document = next(_values(reply, "executionStats"), {})
    winning: Document = next(_values(reply, "winningPlan"), {})
    return Explained(
        asked.stage,
        asked.collection,
        _tree(winning.get("queryPlan", winning)),
        tuple(dict.fromkeys(_values(winning, "indexName"))),
        statistics.get("totalKeysExamined", 0),
        statistics.get("totalDocsExamined", 0),
        statistics.get("nReturned", 0),
        statistics.get("executionTimeMillis", 0),
    )


def _values(reply: Any, name: str) -> Iterator[Any]:
    """What is called so anywhere in the reply, outermost first: aggregations and shards wrap it."""
    if isinstance(reply, Mapping):
        if name in reply:
            yield reply[name]
        for inner in reply.values():
            yield from _values(inner, name)
    elif isinstance(reply, list):
        for inner in reply:
            yield from _values(inner, name)


def _tree(plan: Mapping[str, Any]) -> str:
    """`LIMIT < FETCH < IXSCAN`: each stage is fed by what stands behind it."""
    inner = [plan["inputStage"]] if "inputStage" in plan else plan.get("inputStages", [])
    name = str(plan.get("stage", "?"))
    fed = [_tree(one) for one in inner]
    if not fed:
        return name
    if len(set(fed)) == 1:
        return f"{name} < {fed[0]}" if len(fed) == 1 else f"{name} < {len(fed)} x {fed[0]}"
    return f"{name} < ({', '.join(fed)})"
