"""
What the store keeps of a ledger record so that its AuditEvents can be found.

Tokens are those that `fhir_server.search` would extract from the projected events, computed from
the record alone; a property test holds the two against each other. *Indexed* ones answer what is
asked of an audit log every day (whose data, by whom, which resource) and have an entry each in the
database's index; *plain* ones narrow a result that another criterion or the time has found.

A record over several patients is several events, and its tokens are those of all of them
together: they find the record. `entries_of` has one entry per event, and a search judges these
before it shows an event, so that `patient=Patient/1&entity=Patient/2` finds none.

https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

import re
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
    is_reference,
    kind_of,
    pattern_of,
    person_of,
    policy_of,
    profiles_of,
    targets_shown,
)
from audit.record import Outcome, Record
from fhir_server.search.predicates.entry import Entry, Range, escape
from fhir_server.search.values.folding import folded

INDEXED: Final = frozenset({"patient", "agent", "entity"})
"""The parameters whose tokens `tokens_of` gives as indexed."""

PLAIN: Final = frozenset(
    {
        "_profile",
        "action",
        "address",
        "altid",
        "entity-role",
        "entity-type",
        "outcome",
        "policy",
        "subtype",
        "type",
    }
)
"""The parameters whose tokens `tokens_of` gives as plain, and the `:identifier` of agent and entity."""


ENTITY: Final = "AuditEvent|entity|"
PATIENT: Final = "AuditEvent|patient|"


def tokens_of(record: Record) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    The tokens of all events of the record: those to index, and the others.

    A Patient that is an entity is found as `patient`: what is implied has no entry of its own.
    """
    patients = [f"Patient/{patient}" for patient in record.patients]
    entities = (reference for reference in _entities(record, ()) if not _PATIENT.search(reference))
    return tuple(_indexed(record, patients, entities)), _plain(record)


def entries_of(record: Record) -> tuple[Entry, ...]:
    """
    The index entry of each event of the record, in the order of projection.

    An event is in the compartments of the patients that its `patient` parameter finds. Versions
    of entities are in these entries alone: `found_by` leads to the record.
    """
    shared = ("AuditEvent", *_plain(record), *_versions(record))
    milliseconds = (record.time - _EPOCH) // _MILLISECOND
    recorded = Range("AuditEvent|date", milliseconds * 1000, milliseconds * 1000 + 999)
    events = [[f"Patient/{patient}"] for patient in record.patients] or [[]]
    return tuple(
        Entry(
            tokens=(*_indexed(record, patients, _entities(record, patients)), *shared),
            ranges=(recorded,),
            patients=tuple(
                person.removeprefix("Patient/")
                for person in _persons(record, patients)
                if person.startswith("Patient/")
            ),
            clinical_date=milliseconds * 1000,
        )
        for patients in events
    )


def found_by(token: str) -> str:
    """The token of `tokens_of` by which to look for the records that have an event with `token`."""
    if not token.startswith(_VERSIONED):
        return token
    token = _VERSION.sub("", token)
    if token.startswith(ENTITY) and _PATIENT.search(token.removeprefix(ENTITY)):
        return PATIENT + token.removeprefix(ENTITY)
    return token


def _entities(record: Record, patients: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys([*patients, *[target.reference for target in targets_shown(record)]])


def _indexed(record: Record, patients: list[str], entities: Iterable[str]) -> list[str]:
    tokens = [f"AuditEvent|patient|{escape(person)}" for person in _persons(record, patients)]
    person = person_of(record)
    if person is not None and is_reference(person):
        tokens.append(f"AuditEvent|agent|{escape(person)}")
    if record.client:
        # No Device is on file for a client; `agent=<client_id>` finds what it did nevertheless.
        tokens.append(f"AuditEvent|agent|Device/{escape(record.client)}")
    tokens += [f"AuditEvent|entity|{escape(entity)}" for entity in entities]
    return tokens


def _persons(record: Record, patients: list[str]) -> Iterable[str]:
    """Each Patient that an event of these patients names: as concerned, as touched, as the user."""
    named = [target.reference for target in targets_shown(record)]
    if record.user is not None and is_reference(record.user):
        named.append(record.user)
    others = [reference for reference in named if _PATIENT.search(reference)]
    return dict.fromkeys([*patients, *others]) if others else patients


def _plain(record: Record) -> tuple[str, ...]:
    targets = targets_shown(record)
    parts = (bool(record.patients), bool(targets), bool(record.query))
    request_id = escape(record.request_id)
    tokens = [
        *_shared(kind_of(record), record.outcome, parts),
        *_of_agents(record.client, record.subject, person_of(record)),
        f"AuditEvent|entity:identifier|{request_id}",
        f"AuditEvent|entity:identifier||{request_id}",
        *(f"AuditEvent|_profile|{profile}" for profile in profiles_of(record)),
    ]
    if record.address:
        tokens.append(f"AuditEvent|address|{escape(folded(record.address))}|{escape(record.address)}")
    if record.token_id:
        tokens.append(f"AuditEvent|policy|{policy_of(record.token_id)}")
    if record.query and targets:
        tokens += _codings("entity-type", *dict.fromkeys(data_type(record, target) for target in targets))
    return tuple(tokens)


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
    if has_query or has_target:
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


@lru_cache(maxsize=4096)
def _of_agents(client: str | None, subject: str | None, person: str | None) -> tuple[str, ...]:
    """How a client and its user are known beside their references."""
    identifiers = [client, None if person is None or is_reference(person) else person]
    names = [client, None if subject == client else subject]
    return (
        *(token for value in identifiers if value for token in _codings("agent:identifier", Code("", value))),
        # A token over a string is found in any case.
        *dict.fromkeys(f"AuditEvent|altid|{escape(name.casefold())}" for name in names if name),
    )


def _versions(record: Record) -> list[str]:
    return [
        f"AuditEvent|{parameter}|{escape(target.reference)}/_history/{target.version}"
        for target in targets_shown(record)
        if target.version is not None
        for parameter in (("entity", "patient") if _PATIENT.search(target.reference) else ("entity",))
    ]


def _codings(parameter: str, *codes: Code) -> list[str]:
    return [
        token
        for code in codes
        for token in (
            f"AuditEvent|{parameter}|{escape(code.code)}",
            f"AuditEvent|{parameter}|{escape(code.system)}|{escape(code.code)}",
        )
    ]


_PATIENT: Final = re.compile(r"(?:^|/)Patient/[^/]+$")
_VERSIONED: Final = (ENTITY, PATIENT)
_VERSION: Final = re.compile(r"/_history/[0-9]+$")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC) - _EPOCH
