"""
What is sent to the server: one shipment is one request.

* `Whole`: a transaction or batch Bundle, which stands or falls as its own type says.
* `Group`: resources that stand each on its own (a line of NDJSON, an entry of a searchset). They
  travel as a transaction, which is the fastest way in; a group that is refused may be halved until
  the bad one stands alone.

Either way a resource has the bytes that it has in its file.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from fhir_server.r4.resource import to_text

GROUP_ENTRIES_MAX: Final = 200
GROUP_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unloadable:
    """A place that holds nothing to send, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource, where it stood, and what is asked of the server about it."""

    place: str
    method: str
    url: str
    resource: bytes
    full_url: str | None = None

    @property
    def key(self) -> str | None:
        """What is written, where that is known before the server says it."""
        return self.url if self.method == "PUT" else None


@dataclass(frozen=True, slots=True)
class Whole:
    """A transaction or batch Bundle. `keys` are the resources that it puts or deletes."""

    body: bytes
    type: str
    resources: int
    keys: frozenset[str]
    repeatable: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Resources that do not depend on each other; at least one."""

    entries: tuple[Entry, ...]
    type: ClassVar[str] = "transaction"

    @property
    def resources(self) -> int:
        return len(self.entries)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(entry.key for entry in self.entries if entry.key)

    @property
    def repeatable(self) -> bool:
        """May it be sent again when nobody knows whether it arrived?"""
        return all(entry.key for entry in self.entries)

    @property
    def place(self) -> str:
        first, last = self.entries[0].place, self.entries[-1].place
        return first if first == last else f"{first} to {last}"


Shipment = Whole | Group


def transaction(entries: Iterable[Entry]) -> bytes:
    """The transaction Bundle of `entries`, each resource with the bytes that it has."""
    return to_text(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                ({"fullUrl": entry.full_url} if entry.full_url else {})
                | {"resource": msgspec.Raw(entry.resource)}
                | {"request": {"method": entry.method, "url": entry.url}}
                for entry in entries
            ],
        }
    )


def grouped(items: Iterable[Entry | Whole | Unloadable]) -> Iterator[Shipment | Unloadable]:
    """Entries that follow each other, as groups within the limits; everything else as it comes."""
    group: list[Entry] = []
    written: set[str] = set()
    room = GROUP_BYTES_MAX
    for item in items:
        # One transaction may not write one resource twice: the second one waits for the next group.
        fits = isinstance(item, Entry) and len(item.resource) <= room and item.key not in written
        if group and (not fits or len(group) == GROUP_ENTRIES_MAX):
            yield Group(tuple(group))
            group, written, room = [], set(), GROUP_BYTES_MAX
        if isinstance(item, Entry):
            group.append(item)
            room -= len(item.resource)
            written |= {item.key} if item.key else set()
        else:
            yield item
    if group:
        yield Group(tuple(group))
