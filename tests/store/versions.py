"""Builders: units, entries and records with the least said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from audit.record import Record, Target
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.version import Version
from fhir_server.store.store import Store
from fhir_server.store.unit import Change, Judge, Unit, Write

MORNING = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """Moves when told to."""

    now: datetime = MORNING

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(slots=True)
class Ids:
    """Ids in order, of a seed."""

    random: Random = field(default_factory=lambda: Random(7))

    def __call__(self) -> str:
        return f"{self.random.getrandbits(64):016x}"


def an_entry(type: str, *tokens: str, patients: Sequence[str] = (), date: int | None = None) -> Entry:
    return Entry((type, *tokens), (), tuple(patients), date)


def a_change(
    text: str = "", *, type: str = "Observation", entry: Entry | None = None, method: str = "PUT"
) -> Change:
    head = b'{"text":"' + text.encode() + b'","meta":{"versionId":"'
    return Change((head, b'","lastUpdated":"', b'"}}'), entry or an_entry(type), method)


def a_record(
    key: Key, interaction: str = "update", *, number: int | None = None, patients: Sequence[str] = ()
) -> Record:
    return Record(
        time=MORNING,
        interaction=interaction,
        outcome="success",
        status=200,
        request_id="r-1",
        address="127.0.0.1",
        client="tests",
        targets=(Target(str(key), number),),
        patients=tuple(patients),
    )


def a_unit(*writes: Write) -> Unit:
    def records(versions: Sequence[Version], now: datetime) -> list[Record]:
        return [a_record(version.key, number=version.number) for version in versions]

    return Unit(writes, records)


def put(key: Key, change: Change | Judge, *, fresh: bool = False) -> Write:
    """A write of `change`, whatever is current."""
    if not isinstance(change, Change):
        return Write(key, change, fresh)
    return Write(key, lambda _current, _now: change, fresh)


def deletion(key: Key) -> Write:
    def judge(current: Version | None, now: datetime) -> Change | None:
        assert current is not None
        return None if current.deleted else Change(None, current.entry, "DELETE")

    return Write(key, judge)


async def stored(store: Store, key: Key, change: Change | Judge, *, fresh: bool = False) -> Version:
    """The version that a write of its own leaves."""
    [version] = await store.commit(a_unit(put(key, change, fresh=fresh)))
    return version


async def deleted(store: Store, key: Key) -> Version:
    [version] = await store.commit(a_unit(deletion(key)))
    return version


def keys(versions: Iterable[Version]) -> list[Key]:
    return [version.key for version in versions]
