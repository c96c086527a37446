"""
The trail of one interaction: what its ledger record will say, gathered while it runs.

A record is made of it once, when the outcome is known: `succeeded`, `refused` or `failed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from audit.record import Outcome, Record, Target
from fhir_server.r4.errors import FhirError
from fhir_server.r4.interaction import (
    ConditionalDelete,
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Delete,
    History,
    Interaction,
    Operation,
    Patch,
    Read,
    Search,
    Submission,
    Update,
    Vread,
    criteria_of,
)
from fhir_server.r4.resource import Key
from fhir_server.search.asking.query import Query
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    Elsewhere,
    OfPatients,
    Or,
    Predicate,
    ReferredTo,
    Refers,
    WithId,
)
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller, Contact

TARGETS_MAX: Final = 20
"""More resources than this are known by the query and the patients, not one by one."""


WRITES: Final = (
    Create,
    Update,
    ConditionalUpdate,
    Patch,
    ConditionalPatch,
    Delete,
    ConditionalDelete,
)


class Trail:
    """Mutable on purpose: it is filled in the order in which things become known."""

    def __init__(self, interaction: Interaction, caller: Caller, contact: Contact) -> None:
        self.name = name_of(interaction)
        self.caller = caller
        self._contact = contact
        self._query = _query_of(interaction)
        self._writes = writes(interaction)
        self._targets: tuple[Target, ...] = _targets_of(interaction)
        self._patients: dict[str, None] = dict.fromkeys(_patients_addressed(interaction))
        self.status = 0
        self._shows = True
        self.search: Query | None = None

    @property
    def request_id(self) -> str:
        """The request that it is part of."""
        return self._contact.request_id

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients concerned, as far as is known."""
        return tuple(self._patients)

    def turns_out_to_be(self, name: str) -> None:
        """What a submitted Bundle is, is known when it has been read."""
        self.name = name

    def touches(self, patients: Iterable[str]) -> None:
        """These patients are concerned, whatever the outcome."""
        self._patients.update(dict.fromkeys(patients))

    def shows(self, versions: Sequence[Version]) -> None:
        """These versions are what the interaction is about."""
        if not self._shows:
            return
        for version in versions:
            self._patients.update(dict.fromkeys(version.entry.patients))
        if len(versions) <= TARGETS_MAX:
            self._targets = tuple(Target(str(version.key), version.number) for version in versions)

    def shows_nothing(self) -> None:
        """Nothing of what is found leaves: only who is asked about is concerned."""
        self._shows = False

    def means(self, *keys: Key) -> None:
        """These are what a conditional interaction has come to."""
        self._targets = tuple(Target(str(key)) for key in keys[:TARGETS_MAX])

    def searches(self, query: Query) -> None:
        """The search, understood; the patients that it names are concerned even when nothing is found."""
        self.search = query
        self.asks_for(query.predicate)

    def asks_for(self, predicate: Predicate) -> None:
        """The patients that a query names are concerned even when nothing is found."""
        self.touches(_patients_named(predicate))

    def succeeded(self, status: int, now: datetime) -> Record:
        return self._record("success", status, None, now, self._targets)

    def refused(self, refusal: FhirError, now: datetime) -> Record:
        outcome: Outcome = "failed" if refusal.status >= 500 else "refused"
        return self._record(outcome, refusal.status, type(refusal).__name__, now, self._left())

    def failed(self, reason: str, now: datetime) -> Record:
        return self._record("failed", 500, reason, now, self._left())

    def _left(self) -> tuple[Target, ...]:
        """The targets of what did not succeed: the version that an attempt meant to write is not there."""
        return tuple([Target(one.reference) for one in self._targets]) if self._writes else self._targets

    def _record(
        self, outcome: Outcome, status: int, reason: str | None, now: datetime, targets: tuple[Target, ...]
    ) -> Record:
        caller = self.caller
        self.status = status
        return Record(
            time=now,
            interaction=self.name,
            outcome=outcome,
            status=status,
            request_id=self._contact.request_id,
            address=self._contact.address,
            client=caller.client,
            subject=caller.subject,
            user=caller.user,
            purpose=caller.purpose,
            token_id=caller.token_id,
            targets=targets,
            patients=tuple(self._patients),
            query=self._query,
            reason=reason,
        )


def writes(interaction: Interaction) -> bool:
    """Does it make a version of a resource, with which its record commits?"""
    if isinstance(interaction, Operation):
        return interaction.affects_state
    return isinstance(interaction, WRITES)


def name_of(interaction: Interaction) -> str:
    """FHIR's code for it: https://hl7.org/fhir/R4/valueset-system-restful-interaction.html"""
    match interaction:
        case Search():
            return "search-system" if interaction.type is None else "search-type"
        case History():
            level = "system" if interaction.type is None else "type" if interaction.id is None else "instance"
            return f"history-{level}"
        case Submission():
            return "request"
        case ConditionalUpdate():
            return "update"
        case ConditionalDelete():
            return "delete"
        case ConditionalPatch():
            return "patch"
        case Operation(name=name):
            return f"${name}"
        case _:
            return type(interaction).__name__.lower()


def _targets_of(interaction: Interaction) -> tuple[Target, ...]:
    match interaction:
        case Read(key=key) | Update(key=key) | Patch(key=key) | Delete(key=key):
            return (Target(str(key)),)
        case Vread(key=key, version=version):
            return (Target(str(key), int(version) if version.isdecimal() else None),)
        case (
            History(type=str() as resource_type, id=str() as id)
            | Operation(type=str() as resource_type, id=str() as id)
        ):
            return (Target(f"{resource_type}/{id}"),)
        case _:
            return ()


def _patients_addressed(interaction: Interaction) -> Iterator[str]:
    """Whose compartment is searched is concerned, whatever comes of it."""
    match interaction:
        case Search(compartment=Key(type="Patient", id=id)):
            yield id


def _query_of(interaction: Interaction) -> str | None:
    if isinstance(interaction, Search):
        return f"{interaction.address}?{urlencode(interaction.parameters)}"
    if isinstance(interaction, History) and interaction.parameters:
        return f"_history?{urlencode(interaction.parameters)}"
    if isinstance(interaction, Operation) and interaction.parameters:
        return f"${interaction.name}?{urlencode(interaction.parameters)}"
    criteria = criteria_of(interaction)
    return f"{criteria.type}?{urlencode(criteria.parameters)}" if criteria is not None else None


def _patients_named(predicate: Predicate) -> Iterator[str]:
    match predicate:
        case AnyToken(values=values):
            for value in values:
                parameter, _, reference = value.rpartition("|")
                if reference.startswith("Patient/") and "|" in parameter:
                    yield reference.removeprefix("Patient/")
        case OfPatients(ids=ids):
            yield from ids
        case And(parts=parts) | Or(parts=parts):
            for part in parts:
                yield from _patients_named(part)
        case Elsewhere(question=Refers(types=types, of=WithId(ids=ids))) if "Patient" in types:
            yield from ids
        case Elsewhere(question=(Refers() | ReferredTo()) as question):
            yield from _patients_named(question.of)
        case _:
            return
