"""
What one attempt of a transaction writes: decided from what is current, without a database.

Each unit is all or nothing: when one of its judges refuses, the unit leaves nothing behind and
its neighbours are as if it had not been there.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from audit.record import Record, portions
from fhir_server.r4.errors import FhirError, TooLarge, Unavailable
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version, instant
from fhir_server.store.bodies import set_aside
from fhir_server.store.documents import (
    MILLISECOND,
    Document,
    document,
    milliseconds,
    moment,
    own_tokens,
    superseded,
    version,
)
from fhir_server.store.limits import StoreLimits
from fhir_server.store.overflow import OVERFLOWING_TYPES, leave_aside
from fhir_server.store.pages import weight_of
from fhir_server.store.sequence import Sequence as Sequences
from fhir_server.store.unit import Change, Moved, Unit, Write

Outcome = list[Version] | FhirError | Moved | None
"""
The version that each write left, the unit's refusal, that it is to be planned anew, or None: too
large to share a transaction.
"""


@dataclass(slots=True)
class Plan:
    """
    `replaced` are new versions of keys that are there, `superseded` what they take the place of.

    Consents stand apart: they are written with the epoch. SearchParameters are among the others, and
    in `search_parameters` as well: what they declare is written with them (declaring.py).
    """

    outcomes: list[Outcome] = field(default_factory=list)
    inserted: list[Document] = field(default_factory=list)
    replaced: list[Document] = field(default_factory=list)
    consents_inserted: list[Document] = field(default_factory=list)
    consents_replaced: list[Document] = field(default_factory=list)
    search_parameters: list[Version] = field(default_factory=list)
    bodies: list[Document] = field(default_factory=list)
    superseded: list[Document] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def add(self, other: Plan) -> None:
        """Take over what another plan writes and records."""
        self.inserted += other.inserted
        self.replaced += other.replaced
        self.consents_inserted += other.consents_inserted
        self.consents_replaced += other.consents_replaced
        self.search_parameters += other.search_parameters
        self.bodies += other.bodies
        self.superseded += other.superseded
        self.records += other.records

    def sort(self) -> None:
        """All transactions touch their keys in the same order."""
        for documents in (self.inserted, self.replaced, self.consents_inserted, self.consents_replaced):
            documents.sort(key=_id)

    @property
    def is_empty(self) -> bool:
        """Is there nothing to commit?"""
        return not (
            self.records or self.inserted or self.replaced or self.consents_inserted or self.consents_replaced
        )


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans for one process."""

    sequences: Sequences
    limits: StoreLimits

    def plan(
        self,
        units: Sequence[Unit],
        currents: Mapping[str, Document],
        now: datetime,
        moved: Sequence[Moved | None] = (),
        *,
        alone: bool = False,
    ) -> Generator[None, None, Plan]:
        """
        What `units`, which have no key in common, write over `currents` (by key).

        Of those that have `moved` nothing is written, nor of what is too large for a group, unless
        it is `alone`. It is the generator's result; each step is one
        write or one record (slices.py).
        """
        plan = Plan()
        for place, unit in enumerate(units):
            if moved and (gone := moved[place]) is not None:
                plan.outcomes.append(gone)
                continue
            try:
                outcome = yield from self._add(plan, unit, currents, now, shared=not alone)
                plan.outcomes.append(outcome)
            except (FhirError, Moved) as refusal:
                plan.outcomes.append(refusal)
        plan.sort()
        return plan

    def _add(
        self, plan: Plan, unit: Unit, currents: Mapping[str, Document], now: datetime, *, shared: bool
    ) -> Generator[None, None, Outcome]:
        left: list[Version] = []
        own = Plan()
        weight = replaced = 0
        for write in unit.writes:
            yield
            current = currents.get(str(write.key))
            replaced += weight_of(current) if current is not None else 0
            if shared and replaced > self.limits.group_unit_bytes_max:
                return None
            new = self._judged(write, current, now)
            if new is not None:
                weight += weighed(new, self.limits)
                if shared and weight > self.limits.group_unit_bytes_max:
                    return None
                self._write(own, new, current)
                left.append(new)
            else:
                assert current is not None, "a judge leaves unchanged only what is there"
                left.append(version(current))
        if weight > self.limits.transaction_bytes_max:
            raise TooLarge(
                f"The writes have {weight} bytes, the limit is {self.limits.transaction_bytes_max}"
            )
        for record in unit.records(left, now):
            yield
            own.records += portions(record)
        plan.add(own)
        return left

    def _write(self, own: Plan, new: Version, current: Document | None) -> None:
        fields = document(new)
        if new.deleted and current is not None and "more" in current:
            leave_aside(fields, current)
        else:
            own.bodies += set_aside(fields, self.limits)
        require_storable(fields, self.limits)
        if new.key.type == SEARCH_PARAMETER:
            own.search_parameters.append(new)
        is_consent = new.key.type == CONSENT
        if current is None:
            (own.consents_inserted if is_consent else own.inserted).append(fields)
        else:
            (own.consents_replaced if is_consent else own.replaced).append(fields)
            own.superseded.append(superseded(current, new.last_updated))

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


def weighed(new: Version, limits: StoreLimits) -> int:
    """About the bytes of what is stored of it. Raises TooLarge when it has too many tokens."""
    entry = new.entry
    entries = len(entry.tokens) + len(entry.ranges) + len(entry.patients)
    inside = sum(len(inner.entry.tokens) + len(inner.entry.ranges) for inner in entry.contained)
    words = len(entry.words)
    overflows = new.key.type in OVERFLOWING_TYPES
    entries_max = limits.overflow_tokens_max if overflows else limits.entry_tokens_max
    if entries > entries_max:
        raise TooLarge(
            f"The resource has {entries} searchable values, the limit is {entries_max}", new.key.type
        )
    if inside > limits.entry_tokens_max:
        told = f"What the resource contains has {inside} searchable values"
        raise TooLarge(f"{told}, the limit is {limits.entry_tokens_max}", f"{new.key.type}.contained")
    if words > limits.entry_words_max:
        told = f"The resource has {words} words to be searched by, the limit is {limits.entry_words_max}"
        raise TooLarge(told, new.key.type)
    characters = sum(map(len, entry.tokens)) + sum(map(len, entry.words))
    characters += sum(len(token) for inner in entry.contained for token in inner.entry.tokens)
    return len(new.body or b"") + characters + (entries + inside + words) * _VALUE_BYTES


def require_storable(fields: Document, limits: StoreLimits) -> None:
    """Raises TooLarge when what stays in one document is too much for it."""
    tokens, ranges = own_tokens(fields), fields.get("was", fields).get("rng", ())
    entries = len(tokens) + len(ranges) + 2 * len(fields.get("pts", ()))
    if entries > limits.entry_tokens_max:
        told = f"The resource has {entries} searchable values in one document of the database"
        raise TooLarge(f"{told}, the limit is {limits.entry_tokens_max}", fields["ty"])
    # Most are far from the limit: a character has four bytes at most.
    texts = [*tokens, *fields.get("was", fields).get("wrd", ())]
    texts += [token for inner in fields.get("in", ()) for token in inner["tok"]]
    weight = sum(map(len, texts)) * 4 + entries * _VALUE_BYTES
    if weight > limits.document_bytes_max:
        weight = sum(len(text.encode()) for text in texts) + entries * _VALUE_BYTES
    if weight > limits.document_bytes_max:
        raise TooLarge(f"The resource's index has more than {limits.document_bytes_max} bytes", fields["ty"])


def _id(fields: Document) -> str:
    return str(fields["_id"])


CONSENT: Final = "Consent"
SEARCH_PARAMETER: Final = "SearchParameter"

# What a token or range weighs in a document beside its characters, about.
_VALUE_BYTES: Final = 30
