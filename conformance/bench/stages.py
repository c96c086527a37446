"""
Where the CPU time of a request goes: each stage by itself, by calling what the server calls.

Stages are timed in this process, in loops, by the CPU time of its thread; the driver's stage is that
of a whole group, as many requests as are in flight, divided by them. HTTP is measured on the server:
what its workers use for the one public document that is cheap to make. What the workers use beyond
the sum of the stages (the event loop, the groups, the line in the log) is the remainder.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final, TypeVar

from audit.chain import link
from conformance.bench.data import to_create
from conformance.bench.figures import Cost
from conformance.bench.raw import Document
from conformance.bench.scene import Scene
from fhir_server.app import Application
from fhir_server.interactions.prepare import Prepared, prepare, with_identity
from fhir_server.pipeline.admission import admit
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.writing import admit_write
from fhir_server.r4.interaction import Create, Read
from fhir_server.r4.resource import Key, from_text, to_text
from fhir_server.r4.validation import validate
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.version import Version
from fhir_server.settings import Settings
from fhir_server.smart.caller import Caller, Contact
from fhir_server.smart.tokens import Grant
from fhir_server.store.documents import WITHOUT_TOKENS, document, version
from fhir_server.store.ledger import link_document

SECONDS_PER_STAGE: Final = 0.5
RESOURCES: Final = 500
CONTACT: Final = Contact("1f0e3dad-9990-4f5c-8bd1-000000000000", "127.0.0.1")
_CALLS_BETWEEN_LOOKS: Final = 16
"""To look at the clock costs as much as a small stage."""
SERVED_DOCUMENT: Final = ".well-known/smart-configuration"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Stand:
    """The stages' surroundings: services as a worker composes them, and who is asking."""

    scene: Scene
    services: Services
    token: str
    caller: Caller
    seconds: float

    def of_each(self, stage: Callable[[Item], object], items: Iterable[Item]) -> float:
        """CPU microseconds of one call."""
        # Of this thread: what the driver's own ones do meanwhile is none of it.
        started = time.thread_time()
        until = started + self.seconds
        for calls, item in enumerate(itertools.cycle(items), 1):
            stage(item)
            if not calls % _CALLS_BETWEEN_LOOKS and time.thread_time() >= until:
                return (time.thread_time() - started) / calls * 1e6
        raise AssertionError("a cycle does not end")

    async def of_group(self, stage: Callable[[int], Awaitable[object]]) -> float:
        """CPU microseconds of one request, when a group of them is handed to the driver at once."""
        groups = 0
        started = time.process_time()
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            await stage(groups)
            groups += 1
        return (time.process_time() - started) / groups / self.scene.options.in_flight * 1e6


async def costs(scene: Scene) -> list[Cost]:
    """What each kind of request costs, reads and creates by stage."""
    for _ in range(scene.options.rounds):
        document = scene.server.address.request("GET", SERVED_DOCUMENT)
        await scene.ask("http", itertools.repeat(document))
    async with standing(scene) as stand:
        http = {"HTTP": _per_unit(scene, "http", "workers")}
        token = {"token": stand.of_each(_verification(stand), [stand.token])}
        stages = {
            "read": http | token | await _of_read(stand),
            "create": http | token | await _of_create(stand),
        }
    return [
        Cost(kind, _per_unit(scene, kind, "workers"), _per_unit(scene, kind, "mongod"), stages.get(kind, {}))
        for kind in ("read", "create", "update", "bundle", "search")
        if kind in scene.used
    ]


def _per_unit(scene: Scene, kind: str, processes: str) -> float:
    used = scene.used[kind]
    return float(getattr(used, processes)) / used.units * 1e6


@asynccontextmanager
async def standing(scene: Scene) -> AsyncIterator[Stand]:
    """A worker's services on a database of their own, beside the server's."""
    settings = Settings(
        mongodb_url=scene.server.mongodb_url,
        mongodb_database="stages",
        base_url="http://127.0.0.1/fhir",
        data_dir=Path("/nowhere"),
        secret="0" * 64,
    )
    application = Application(settings, "bench")
    services = await application.start()
    try:
        now = int(services.clock().timestamp())
        grant = Grant("bench", "system/*.cruds", 3600)
        token = services.tokens.issue(grant, now=now, token_id=CONTACT.request_id)
        seconds = min(SECONDS_PER_STAGE, scene.options.allowance.seconds)
        yield Stand(scene, services, token, services.tokens.verify(token, now=now), seconds)
    finally:
        await application.stop()


def _verification(stand: Stand) -> Callable[[str], object]:
    return lambda token: stand.services.tokens.verify(token, now=int(stand.services.clock().timestamp()))


async def _of_read(stand: Stand) -> dict[str, float]:
    resources, ledger = stand.scene.raw.served["resources"], stand.scene.raw.copy["ledger"]
    keys = stand.scene.keys[:RESOURCES]
    stored = await resources.find({"_id": {"$in": keys}}, WITHOUT_TOKENS).to_list()
    versions = [version(fields) for fields in stored]
    records = [_recorded(stand, (number, one)) for number, one in enumerate(versions, 1)]

    async def driver(group: int) -> None:
        wanted = [keys[(group + n) % len(keys)] for n in range(stand.scene.options.in_flight)]
        await resources.find({"_id": {"$in": wanted}}, WITHOUT_TOKENS, batch_size=len(wanted) + 1).to_list()
        await ledger.insert_many(_renamed(records[: len(wanted)], f"read.{group}"))

    def policy(found: Version) -> None:
        services = stand.services
        access = admit(stand.caller, found.key.type, "r", services.clock(), services)
        access.require_seen(found)

    return {
        "policy": stand.of_each(policy, versions),
        "record": stand.of_each(lambda pair: _recorded(stand, pair), list(enumerate(versions, 1))),
        "driver": await stand.of_group(driver),
    }


async def _of_create(stand: Stand) -> dict[str, float]:
    bodies = [(resource["resourceType"], to_text(resource)) for resource in to_create(RESOURCES)]
    resources = [from_text(text) for _, text in bodies]
    prepared = [_prepared(stand, resource) for resource in resources]
    pairs = list(zip(resources, prepared, strict=True))
    documents = [document(_stored(one)) for one in prepared]
    records = [_recorded(stand, (n, _stored(one))) for n, one in enumerate(prepared, 1)]
    copy = stand.scene.raw.copy

    async def driver(group: int) -> None:
        some = slice(0, stand.scene.options.in_flight)
        async with copy.client.start_session() as session, await session.start_transaction():
            named = f"create.{group}"
            await copy["resources"].insert_many(_renamed(documents[some], named), session=session)
            await copy["ledger"].insert_many(_renamed(records[some], named), session=session)

    def policy(one: Prepared) -> None:
        access = admit_write(Create(one.key.type, b""), stand.caller, stand.services)
        access.require_admitted(one.proposed())

    def record(pair: tuple[int, Prepared]) -> None:
        number, one = pair
        stored = _stored(one)
        document(stored)
        _recorded(stand, (number, stored))

    return {
        "policy": stand.of_each(policy, prepared),
        "parse": stand.of_each(lambda pair: from_text(pair[1]), bodies),
        "validate": stand.of_each(validate, resources),
        "extract": stand.of_each(lambda pair: extract(pair[0], pair[1].key), pairs),
        "write JSON": stand.of_each(lambda pair: with_identity(pair[0], pair[1].key.id), pairs),
        "record": stand.of_each(record, list(enumerate(prepared, 1))),
        "driver": await stand.of_group(driver),
    }


def _prepared(stand: Stand, resource: dict[str, Any]) -> Prepared:
    key = Key(resource["resourceType"], stand.services.new_id())
    settings = stand.services.settings
    return prepare(
        resource,
        key,
        base_url=settings.base_url,
        zone=UTC,
        resource_bytes_max=settings.resource_bytes_max,
        full_text=settings.full_text,
    )


def _stored(one: Prepared) -> Version:
    head, middle, tail = one.parts
    body = b"".join((head, b"1", middle, b"2026-01-01T00:00:00.000Z", tail))
    return Version(one.key, 1, one.proposed().last_updated, body, one.entry, "-" * 17, "POST")


def _recorded(stand: Stand, pair: tuple[int, Version]) -> Document:
    """The ledger's document of an interaction with this version, made as the server makes it."""
    number, shown = pair
    trail = Trail(Read(shown.key), stand.caller, CONTACT)
    trail.shows((shown,))
    record = trail.succeeded(200, stand.services.clock())
    return link_document(record, link(record, shard="bench", position=number, previous=b"\0" * 32))


def _renamed(documents: Iterable[Document], name: str) -> list[Document]:
    return [{**fields, "_id": f"{name}.{number}"} for number, fields in enumerate(documents)]
