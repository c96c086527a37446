"""
Who may see what in which clinical context: from a scope's context to a restriction.

* `patient/`  the compartment of the patient in the launch context;
* `user/`     what the user may see: a Patient or RelatedPerson their own compartment, a
              Practitioner (or PractitionerRole) everything, anybody else nothing;
* `system/`   everything.

Definitional and directory types (docs/compartments.md) belong to no patient: a confined
caller may read and search them, and never write them. Several contexts add up.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fhir_server.r4.compartments import DEFINITIONAL_TYPES, compartment_parameters
from fhir_server.search.entry import escape
from fhir_server.search.predicate import (
    AnyToken,
    Everything,
    Nothing,
    OfPatients,
    Predicate,
    WithId,
    all_of,
    any_of,
    of_types,
)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a right comes from: the scope's context, and the person it is bound to."""

    context: str
    user: str | None
    patient: str | None


@dataclass(frozen=True, slots=True)
class Right:
    """What may be touched; `confined` when it is less than everything of its types."""

    predicate: Predicate
    confined: bool


@lru_cache(maxsize=8_192)
def right(contexts: frozenset[Context], resource_type: str, *, writes: bool) -> Right:
    """What these contexts, together, let somebody touch of one resource type."""
    parts = [_of_context(context, resource_type, writes=writes) for context in contexts]
    confined = not any(context_is_unconfined(context) for context in contexts)
    return Right(any_of(*parts), confined)


def context_is_unconfined(context: Context) -> bool:
    """Does this context reach beyond one person's compartment?"""
    if context.context == "user":
        return _user_type(context) in ("Practitioner", "PractitionerRole")
    return context.context == "system"


def _of_context(context: Context, resource_type: str, *, writes: bool) -> Predicate:
    if context_is_unconfined(context):
        return Everything()
    if context.context == "patient":
        person = f"Patient/{context.patient}" if context.patient else ""
    else:
        person = context.user or ""
    if not person.startswith(("Patient/", "RelatedPerson/")):
        return Nothing()
    if resource_type in DEFINITIONAL_TYPES:
        return Nothing() if writes else Everything()
    if person.startswith("Patient/"):
        return OfPatients(frozenset((person.removeprefix("Patient/"),)))
    return _related_person(person, resource_type)


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
