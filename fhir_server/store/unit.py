"""
What is asked of the writer: units of writes, each all or nothing.

A unit says how to judge what is current when it commits, and what is to be recorded of what came
of it. Both are asked in each attempt, possibly several times: they answer from their arguments
and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.record import Record
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version


@dataclass(frozen=True, slots=True)
class Change:
    """
    A new version: its text is `parts` joined by the version number and the instant.

    Without parts it is a deletion, and `entry` that of the version which is deleted.
    """

    parts: tuple[bytes, bytes, bytes] | None
    entry: Entry
    method: str


Judge = Callable[[Version | None, datetime], Change | None]
"""
Given the current version (None: the id was never used) and the time, what to write.

None leaves the current version as it is. A FhirError that it raises refuses the whole unit.
"""


@dataclass(frozen=True, slots=True)
class Write:
    """`fresh`: the id was made for this write, so there is nothing to read before it."""

    key: Key
    judge: Judge
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A search that a unit was planned on: exactly `keys` (`Type/id`, sorted) match `predicate`.

    At most `matches_max` of them are looked for. Units that have one of `locks` in common commit
    one after the other.
    """

    predicate: Predicate
    types: frozenset[str]
    matches_max: int = 2
    locks: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()


class Moved(Exception):
    """Something else is there than the unit was planned on. Nothing was done: plan it anew."""


@dataclass(frozen=True, slots=True)
class Unit:
    """
    Writes that commit together or not at all, with the records of what they did.

    `records` is given the version that each write left, in order, and the time of the attempt; it is
    taken one by one, with turns for others between. When one of `conditions` does not hold as it
    commits, or a judge raises Moved, the caller is raised Moved and nothing is done; and so when
    entries are made of other search parameters by then than at the epoch `indexed` (None: it has none).
    """

    writes: Sequence[Write]
    records: Callable[[Sequence[Version], datetime], Iterable[Record]]
    conditions: Sequence[Condition] = ()
    indexed: int | None = None
