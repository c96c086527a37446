"""
Who may see what in which clinical context: from a scope's context to a restriction.

* `patient/`  the compartment of the patient in the launch context;
* `user/`     what the user may see: a Patient or RelatedPerson their own compartment, a
              Practitioner (or PractitionerRole) everything, anybody else nothing;
* `system/`   everything.

Definitional and directory types (docs/compartments.md) belong to no patient: a confined
caller may read and search them, and never write them. What belongs to others as well they may
read, and not write: it is not theirs alone. Several contexts add up.

AuditEvents tell whom a request concerned, those too that were refused because the asker may not
know. So a confined caller sees events that are about their own patient and nobody else; and no
user reviews their own requests, among which those about a hidden patient would be missing.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from fhir_server.policy.app_state import of_nobody_or
from fhir_server.r4.compartments import CONTAINERS, DEFINITIONAL_TYPES, compartment_parameters
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Everything,
    Nothing,
    OfPatients,
    OnlyOfPatients,
    Predicate,
    WithId,
    all_of,
    any_of,
    none_of,
    of_types,
    token,
)


@dataclass(frozen=True, slots=True)
class Context:
    """
    Where a right comes from: the scope's context, the person it is bound to, the scope's criteria, and the
    codes of the app's own state, of what may be that.
    """

    context: str
    user: str | None
    patient: str | None
    within: Predicate = field(default_factory=Everything)
    state_codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Right:
    """
    What may be touched: where `predicate` is true.

    `reach` is that without the criteria of scopes, which are about one type; `confined` says that it is less
    than everything, and `partial` that this is less.
    """

    predicate: Predicate
    reach: Predicate
    confined: bool

    @property
    def partial(self) -> bool:
        """May there be resources of the type that are out of sight?"""
        return self.confined or self.predicate != self.reach


@lru_cache(maxsize=8_192)
def right(contexts: frozenset[Context], resource_type: str, *, writes: bool) -> Right:
    """What these contexts, together, let somebody touch of one resource type."""
    parts = [(_of_context(context, resource_type, writes=writes), context.within) for context in contexts]
    unconfined = [context for context in contexts if context_is_unconfined(context)]
    # What criteria let one context see does not tell how much another one sees of the rest.
    whole = any(isinstance(context.within, Everything) for context in unconfined)
    return Right(
        any_of(*(all_of(reach, within) for reach, within in parts)),
        any_of(*(reach for reach, _ in parts)),
        confined=not whole and len(unconfined) < len(contexts),
    )


def context_is_unconfined(context: Context) -> bool:
    """Does this context reach beyond one person's compartment?"""
    if context.context == "user":
        return _user_type(context) in ("Practitioner", "PractitionerRole")
    return context.context == "system"


def _of_context(context: Context, resource_type: str, *, writes: bool) -> Predicate:
    reach = _of_person(context, resource_type, writes=writes)
    if context.context != "user" or not context.state_codes:
        return reach
    # What an app keeps for its user, or for all of its users, is in no patient's compartment.
    return any_of(reach, all_of(AnyToken(context.state_codes), of_nobody_or(context.user)))


def _of_person(context: Context, resource_type: str, *, writes: bool) -> Predicate:
    if context_is_unconfined(context):
        if resource_type == "AuditEvent" and context.context == "user" and context.user:
            return none_of(token(f"AuditEvent|agent|{escape(context.user)}"))
        return Everything()
    if context.context == "patient":
        person = f"Patient/{context.patient}" if context.patient else ""
    else:
        person = context.user or ""
    if not person.startswith(("Patient/", "RelatedPerson/")):
        return Nothing()
    if resource_type in DEFINITIONAL_TYPES:
        return Nothing() if writes else Everything()
    if resource_type in CONTAINERS:
        return Nothing()
    if person.startswith("Patient/"):
        return _own(person.removeprefix("Patient/"), resource_type, writes=writes)
    reached = _related_person(person, resource_type)
    # As part of a record it is written only for the patient of the launch context.
    launched = frozenset((context.patient,)) if context.patient else frozenset[str]()
    return all_of(reached, OnlyOfPatients(launched)) if writes else reached


def _own(patient: str, resource_type: str, *, writes: bool) -> Predicate:
    """The compartment of a patient; to be written, nobody else's as well."""
    own = frozenset((patient,))
    if resource_type == "AuditEvent":
        return all_of(
            token(f"AuditEvent|entity|Patient/{escape(patient)}"), OfPatients(own), OnlyOfPatients(own)
        )
    return all_of(OfPatients(own), OnlyOfPatients(own)) if writes else OfPatients(own)


def _related_person(person: str, resource_type: str) -> Predicate:
    """The RelatedPerson compartment, by the tokens of the parameters that define it."""
    own = (
        all_of(of_types(frozenset((resource_type,))), WithId(frozenset((person.split("/", 1)[1],))))
        if resource_type == "RelatedPerson"
        else Nothing()
    )
    named = frozenset(
        f"{resource_type}|{parameter}|{escape(person)}"
        for parameter in compartment_parameters("RelatedPerson", resource_type)
    )
    return any_of(own, AnyToken(named) if named else Nothing())


def _user_type(context: Context) -> str:
    return (context.user or "").partition("/")[0]
