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

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from audit.patterns import (
    JTI_URN,
    OUTCOMES,
    PATIENT_ROLE,
    PERSON,
    QUERY_ROLE,
    REQUEST_ID,
    RESOURCE_ROLE,
    SYSTEM_OBJECT,
    Code,
    Kind,
    kind_of,
    pattern_of,
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
    """The index entry of each event of the record, in the order of projection."""
    plain = _plain(record, has_patient=bool(record.patients))
    events: list[tuple[str, ...]] = [(patient,) for patient in record.patients] or [()]
    milliseconds = (record.time - _EPOCH) // _MILLISECOND
    recorded = Range("AuditEvent|date", milliseconds * 1000, milliseconds * 1000 + 999)
    return tuple(
        Entry(
            tokens=("AuditEvent", *_indexed(record, [f"Patient/{patient}" for patient in patients]), *plain),
            ranges=(recorded,),
            patients=patients,
            clinical_date=recorded.low,
        )
        for patients in events
    )


def policy_of(token_id: str) -> str:
    """The token that authorized an event, as the URI that stands in `agent.policy`."""
    if token_id.isascii() and token_id.replace("-", "").isalnum():
        return JTI_URN + token_id
    return JTI_URN + quote(token_id, safe="-._~:", errors="replace")


def _indexed(record: Record, patients: list[str]) -> tuple[str, ...]:
    touched = [target.reference for target in targets_shown(record)]
    persons = [reference for reference in touched if reference.startswith("Patient/")]
    agents = []
    if record.user is not None:
        agents.append(record.user)
        if record.user.startswith("Patient/"):
            persons.append(record.user)
    if record.client is not None:
        agents.append(record.client)
    tokens = [f"AuditEvent|patient|{escape(reference)}" for reference in dict.fromkeys(patients + persons)]
    tokens += [f"AuditEvent|agent|{escape(agent)}" for agent in agents]
    tokens += [f"AuditEvent|entity|{escape(reference)}" for reference in dict.fromkeys(patients + touched)]
    return tuple(tokens)


def _plain(record: Record, *, has_patient: bool) -> tuple[str, ...]:
    tokens = [f"AuditEvent|address|{escape(record.address.lower())}"] if record.address else []
    if record.client is not None:
        tokens.append(f"AuditEvent|altid|{escape(record.client)}")
    if record.subject is not None and record.subject != record.client:
        tokens.append(f"AuditEvent|altid|{escape(record.subject)}")
    if record.token_id is not None:
        tokens.append(f"AuditEvent|policy|{policy_of(record.token_id)}")
    kind = kind_of(record)
    return (
        *_shared(kind, record.outcome, has_patient, bool(targets_shown(record)), bool(record.query)),
        *tokens,
    )


@lru_cache(maxsize=1024)
def _shared(
    kind: Kind,
    outcome: Outcome,
    has_patient: bool,  # noqa: FBT001 - the key of a cache
    has_data: bool,  # noqa: FBT001
    has_query: bool,  # noqa: FBT001
) -> tuple[str, ...]:
    """What many records have in common."""
    pattern = pattern_of(kind)
    types = [REQUEST_ID]
    roles = []
    if has_patient:
        types.append(PERSON)
        roles.append(PATIENT_ROLE)
    if has_data or has_query:
        types.append(SYSTEM_OBJECT)
    if has_data:
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
