"""What is really there when the simulation is over: all versions and the whole ledger."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.chain import Break, first_break, record_of, start_of
from audit.record import Record
from fhir_server.search.predicates.predicate import Everything
from fhir_server.search.predicates.version import Version
from fhir_server.store.positions import Position
from fhir_server.store.store import Store
from tests.simulation.journal import mark_of

PAGE = 500


@dataclass(frozen=True, slots=True)
class Evidence:
    """Versions by key (`Patient/1`) in the order of their numbers, and the records of all shards."""

    versions: Mapping[str, Sequence[Version]]
    records: Sequence[Record]
    breaks: Sequence[Break]

    def find(self, key: str, number: int | None) -> Version | None:
        """One version."""
        versions = self.versions.get(key, ())
        if number is not None and 0 < number <= len(versions) and versions[number - 1].number == number:
            return versions[number - 1]
        return next((version for version in versions if version.number == number), None)

    def __iter__(self) -> Iterator[Version]:
        for versions in self.versions.values():
            yield from versions


def content_of(version: Version) -> dict[str, Any]:
    """The resource; nothing for a tombstone."""
    return {} if version.body is None else dict(json.loads(version.body))


def mark_in(version: Version) -> str | None:
    """The mark that a version carries."""
    return mark_of(content_of(version))


async def gathered(store: Store) -> Evidence:
    """Everything that the store has."""
    versions: dict[str, list[Version]] = defaultdict(list)
    after: Position | None = None
    while True:
        page = await store.history(
            Everything(), type=None, id=None, since=None, at=None, after=after, count=PAGE
        )
        for version in page.versions:
            versions[str(version.key)].append(version)
        after = page.next
        if after is None:
            break
    records, breaks = [], []
    for shard in await store.shards():
        links = [link async for link in store.links(shard)]
        if (found := first_break(links, start_of(shard))) is not None:
            breaks.append(found)
        records += [record_of(link.payload) for link in links]
    in_order = {key: sorted(some, key=lambda version: version.number) for key, some in versions.items()}
    return Evidence(in_order, records, breaks)
