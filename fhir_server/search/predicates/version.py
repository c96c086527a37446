"""One state of one resource, as the store keeps it and everyone above judges it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry


class Version(msgspec.Struct, frozen=True):
    """
    A version of a resource, or its tombstone.

    `body` is the whole JSON as it goes on the wire, None for a deletion. `entry` is the index
    entry of this version; a tombstone carries the entry of the version it deleted, so that
    the deletion is hidden from whom the resource was hidden.
    `sequence` is given at the first creation and never changes: the default order of searches.
    """

    key: Key
    number: int
    last_updated: datetime
    body: bytes | None
    entry: Entry
    sequence: str
    method: str = "PUT"

    @property
    def deleted(self) -> bool:
        return self.body is None

    @property
    def etag(self) -> str:
        return f'W/"{self.number}"'


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC with milliseconds: `2026-11-21T08:00:00.123Z`."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
