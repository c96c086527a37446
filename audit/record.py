"""
One compact ledger record per interaction: who, what, when, why, and how it ended.

The record is what is hashed and linked; AuditEvents are a deterministic projection of it
(projection.py). It holds identifiers only: no values of elements, no search values beyond the
query the caller sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

Outcome = Literal["success", "refused", "failed"]
"""success; refused by us for what the caller did (4xx); failed for what we could not do (5xx)."""


class Target(msgspec.Struct, frozen=True):
    """A resource that was touched: `Observation/5`, and its version where one is known."""

    reference: str
    version: int | None = None


class Record(msgspec.Struct, frozen=True):
    """
    What happened, once.

    `interaction` is FHIR's code (read, vread, create, update, delete, history-instance, ..., search-type,
    batch, transaction), an operation (`$everything`), or a word of our own for who gets in and who may
    (patterns.py). `patients` are the ids of the patients concerned, those of a refused request too. `query`
    is the request's query as sent; or a command with the ids that it was about, or the scope that was given.
    `status` is the HTTP status. `reason` says in a few words why a refusal was given; it is for the audit log
    only. `count` is more than 1 only for refused calls counted together.
    """

    time: datetime
    interaction: str
    outcome: Outcome
    status: int
    request_id: str
    address: str
    client: str | None = None
    subject: str | None = None
    user: str | None = None
    purpose: str | None = None
    token_id: str | None = None
    targets: tuple[Target, ...] = ()
    patients: tuple[str, ...] = ()
    query: str | None = None
    reason: str | None = None
    count: int = 1


PATIENTS_MAX: Final = 5_000
"""Patients of one record: more would not fit into one document of a database with their index."""


def portions(record: Record) -> tuple[Record, ...]:
    """`record` as records of PATIENTS_MAX patients at most: one, unless it concerns very many."""
    patients = record.patients
    if len(patients) <= PATIENTS_MAX:
        return (record,)
    return tuple(
        msgspec.structs.replace(record, patients=patients[start : start + PATIENTS_MAX])
        for start in range(0, len(patients), PATIENTS_MAX)
    )
