"""
What one attempt of a transaction writes: decided from what is current, without a database.

Each unit is all or nothing: when one of its judges refuses, the unit leaves nothing behind and
its neighbours are as if it had not been there.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from audit.record import Record
from fhir_server.r4.errors import FhirError, TooLarge, Unavailable
from fhir_server.r4.resource import Key
from fhir_server.search.version import Version, instant
from fhir_server.store.documents import (
    MILLISECOND,
    Document,
    document,
    milliseconds,
    moment,
    superseded,
    version,
)
from fhir_server.store.limits import StoreLimits
from fhir_server.store.sequence import Sequence as Sequences
from fhir_server.store.unit import Change, Unit, Write

Outcome = list[Version] | FhirError | None
"""The version that each write left, the unit's refusal, or None: too large to share a transaction."""

_TOKEN_BYTES: Final = 80  # what a token or range weighs in a document, about


@dataclass(slots=True)
class Plan:
    """`replaced` are new versions of keys that are there, `superseded` what they take the place of."""

    outcomes: list[Outcome] = field(default_factory=list)
    inserted: list[Document] = field(default_factory=list)
    replaced: list[Document] = field(default_factory=list)
    superseded: list[Document] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    @property
    def consents(self) -> list[Document]:
        """The versions of Consents that it writes."""
        return [fields for fields in (*self.inserted, *self.replaced) if fields["ty"] == "Consent"]

    def sort(self) -> None:
        """All transactions touch their keys in the same order."""
        self.inserted.sort(key=_id)
        self.replaced.sort(key=_id)


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans for one process."""

    sequences: Sequences
    limits: StoreLimits

    def plan(self, units: Sequence[Unit], currents: Mapping[str, Document], now: datetime) -> Plan:
        """What `units`, which have no key in common, write over `currents` (by key)."""
        plan = Plan()
        for unit in units:
            try:
                plan.outcomes.append(self._add(plan, unit, currents, now, shared=len(units) > 1))
            except FhirError as refusal:
                plan.outcomes.append(refusal)
        plan.sort()
        return plan

    def _add(
        self, plan: Plan, unit: Unit, currents: Mapping[str, Document], now: datetime, *, shared: bool
    ) -> Outcome:
        left: list[Version] = []
        inserted: list[Document] = []
        replaced: list[Document] = []
        older: list[Document] = []
        weight = 0
        for write in unit.writes:
            current = currents.get(str(write.key))
            new = self._judged(write, current, now)
            if new is None:
                assert current is not None, "a judge leaves unchanged only what is there"
                left.append(version(current))
                continue
            left.append(new)
            weight += self._weighed(new)
            if current is None:
                inserted.append(document(new))
            else:
                replaced.append(document(new))
                older.append(superseded(current, new.last_updated))
        if shared and weight > self.limits.group_unit_bytes_max:
            return None
        if weight > self.limits.transaction_bytes_max:
            raise TooLarge(
                f"The writes have {weight} bytes, the limit is {self.limits.transaction_bytes_max}"
            )
        plan.records += unit.records(left, now)
        plan.inserted += inserted
        plan.replaced += replaced
        plan.superseded += older
        return left

    def _judged(self, write: Write, current: Document | None, now: datetime) -> Version | None:
        """The new version, None when the current one stays."""
        if write.fresh and current is not None:
            raise Unavailable(f"The id made for this {write.key.type} is taken; send the request again")
        before = version(current) if current is not None else None
        change = write.judge(before, now)
        return None if change is None else self._next(write.key, before, change, now)

    def _next(self, key: Key, before: Version | None, change: Change, now: datetime) -> Version:
        number, updated = 1, moment(milliseconds(now))
        if before is not None:
            number = before.number + 1
            updated = max(updated, before.last_updated + MILLISECOND)
        body = None
        if change.parts is not None:
            head, middle, tail = change.parts
            body = b"".join((head, b"%d" % number, middle, instant(updated).encode(), tail))
        sequence = before.sequence if before is not None else self.sequences.next(milliseconds(updated))
        return Version(key, number, updated, body, change.entry, sequence, change.method)

    def _weighed(self, new: Version) -> int:
        """About the bytes of its document. Raises TooLarge when it cannot be stored."""
        entries = len(new.entry.tokens) + len(new.entry.ranges) + len(new.entry.patients)
        if entries > self.limits.entry_tokens_max:
            raise TooLarge(
                f"The resource has {entries} searchable values, the limit is {self.limits.entry_tokens_max}",
                new.key.type,
            )
        weight = len(new.body or b"") + entries * _TOKEN_BYTES
        bytes_max = self.limits.document_bytes_max
        if weight > bytes_max:
            raise TooLarge(
                f"The resource and its index have {weight} bytes, the limit is {bytes_max}", new.key.type
            )
        return weight


def _id(fields: Document) -> str:
    return str(fields["_id"])
