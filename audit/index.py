"""
What the store keeps of a ledger record so that its AuditEvents can be found.

Tokens are written as `fhir_server.search.entry` says. *Indexed* ones answer what is asked of an
audit log every day (whose data, by whom, which resource) and have an entry each in the database's
index; *plain* ones narrow a result that another criterion or the time has found.

A record over several patients is several events, and its tokens are those of all of them
together: they find the record. `entries_of` has one entry per event, and a search judges these
before it shows an event, so that `patient=Patient/1&entity=Patient/2` finds none.

https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from audit.patterns import (
    OUTCOMES,
    PATIENT_ROLE,
    PERSON,
    QUERY_ROLE,
    REQUEST_ID,
    RESOURCE_ROLE,
    SYSTEM_OBJECT,
    Code,
    Kind,
    data_type,
    kind_of,
    pattern_of,
    person_of,
    policy_of,
    targets_shown,
)
from audit.record import Outcome, Record
from fhir_server.search.entry import Entry, Range, escape

INDEXED: Final = frozenset({"patient", "agent", "entity"})
"""The parameters whose tokens `tokens_of` gives as indexed."""

PLAIN: Final = frozenset(
    {"action", "address", "altid", "entity-role", "entity-type", "outcome", "policy", "subtype", "type"}
)
"""The parameters whose tokens `tokens_of` gives as plain."""


def tokens_of(record: Record) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tokens of all events of the record: those to index, and the others."""
    patients = [f"Patient/{patient}" for patient in record.patients]
    return _indexed(record, patients), _plain(record, has_patient=bool(patients))


def entries_of(record: Record) -> tuple[Entry, ...]:
    """
    The index entry of each event of the record, in the order of projection.

    An event is in the compartments of the patients that its `patient` parameter finds.
    """
    plain = _plain(record, has_patient=bool(record.patients))
    milliseconds = (record.time - _EPOCH) // _MILLISECOND
    recorded = Range("AuditEvent|date", milliseconds * 1000, milliseconds * 1000 + 999)
    events = [[f"Patient/{patient}"] for patient in record.patients] or [[]]
    return tuple(
        Entry(
            tokens=("AuditEvent", *_indexed(record, patients), *plain),
            ranges=(recorded,),
            patients=tuple(person.removeprefix("Patient/") for person in _persons(record, patients)),
            clinical_date=recorded.low,
        )
        for patients in events
    )


def _indexed(record: Record, patients: list[str]) -> tuple[str, ...]:
    entities = dict.fromkeys([*patients, *(target.reference for target in targets_shown(record))])
    tokens = [f"AuditEvent|patient|{escape(person)}" for person in _persons(record, patients)]
    tokens += [f"AuditEvent|agent|{escape(agent)}" for agent in (person_of(record), record.client) if agent]
    tokens += [f"AuditEvent|entity|{escape(entity)}" for entity in entities]
    return tuple(tokens)


def _persons(record: Record, patients: list[str]) -> Iterable[str]:
    """Each Patient that an event of these patients names: as concerned, as touched, as the user."""
    user = person_of(record) or ""
    named = [target.reference for target in targets_shown(record)]
    others = [reference for reference in (*named, user) if reference.startswith("Patient/")]
    return dict.fromkeys([*patients, *others]) if others else patients


def _plain(record: Record, *, has_patient: bool) -> tuple[str, ...]:
    targets = targets_shown(record)
    tokens = [f"AuditEvent|address|{escape(record.address.lower())}"] if record.address else []
    if record.client:
        tokens.append(f"AuditEvent|altid|{escape(record.client)}")
    if record.subject and record.subject != record.client:
        tokens.append(f"AuditEvent|altid|{escape(record.subject)}")
    if record.token_id:
        tokens.append(f"AuditEvent|policy|{policy_of(record.token_id)}")
    if record.query and targets:
        tokens += _codings("entity-type", *dict.fromkeys(data_type(record, target) for target in targets))
    parts = (has_patient, bool(targets), bool(record.query))
    return (*_shared(kind_of(record), record.outcome, parts), *tokens)


@lru_cache(maxsize=1024)
def _shared(kind: Kind, outcome: Outcome, parts: tuple[bool, bool, bool]) -> tuple[str, ...]:
    """What many records have in common; `parts` are whether there is a patient, a target, a query."""
    has_patient, has_target, has_query = parts
    pattern = pattern_of(kind)
    types = [REQUEST_ID]
    roles = []
    if has_patient:
        types.append(PERSON)
        roles.append(PATIENT_ROLE)
    if has_target or has_query:
        types.append(SYSTEM_OBJECT)
    if has_target:
        roles.append(RESOURCE_ROLE)
    if has_query:
        roles.append(QUERY_ROLE)
    return (
        f"AuditEvent|action|{pattern.action}",
        f"AuditEvent|outcome|{OUTCOMES[outcome]}",
        *_codings("type", pattern.type),
        *_codings("subtype", *pattern.subtypes),
        *_codings("entity-type", *types),
        *_codings("entity-role", *roles),
    )


def _codings(parameter: str, *codes: Code) -> list[str]:
    return [
        token
        for code in codes
        for token in (
            f"AuditEvent|{parameter}|{escape(code.code)}",
            f"AuditEvent|{parameter}|{escape(code.system)}|{escape(code.code)}",
        )
    ]


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC) - _EPOCH
