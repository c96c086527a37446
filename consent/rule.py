"""
What one Consent says, compiled: whom it permits or denies, for which purposes, and when.

This engine applies a root provision with period, actors and purposes. What it does not understand
yet it never applies by half: a permit with such a constraint permits nothing, a deny denies all,
and a Consent whose exceptions it does not understand denies. docs/consent.md has the reading of
each element, row by row.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, Final

from consent import purposes
from consent.period import bounds
from fhir_server.r4.resource import Resource


@dataclass(frozen=True, slots=True)
class Rule:
    """
    The root provision of one active Consent.

    `consent` is its reference, `patient` the id of the patient. The rule is in force from `start`
    to `end` (microseconds since 1970, both inclusive; None is open). Within the elements `actors`
    (references), `clients` (client ids) and `unresolved` (an actor we cannot know) one match is
    enough, and `purposes` holds each purpose that is meant; an empty element means any.
    `about` are the purposes that the Consent speaks of at all, empty for any. `flaw` says why the
    Consent is not applied as written.
    """

    consent: str
    patient: str
    permits: bool
    start: int | None = None
    end: int | None = None
    actors: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    unresolved: bool = False
    purposes: frozenset[str] = frozenset()
    about: frozenset[str] = frozenset()
    flaw: str | None = None

    @property
    def names_actors(self) -> bool:
        return self.unresolved or bool(self.actors) or bool(self.clients)

    def in_force(self, now: int) -> bool:
        """Whether the rule holds at `now`, microseconds since 1970."""
        return (self.start is None or self.start <= now) and (self.end is None or now <= self.end)


def rule_of(consent: Resource, *, zone: tzinfo = UTC) -> Rule | None:
    """
    The rule of `consent`; None when it is not active or says nothing about access.

    Never raises: what is malformed is not understood, and that fails closed. `zone` is that of
    dates without one.
    """
    about = _about(consent)
    patient = _patient(consent)
    if consent.get("status") != "active" or about is None or patient is None:
        return None
    provision = consent.get("provision", {})
    permits, flaw = _direction(consent, provision)
    if permits is None and flaw is None:
        return None
    rule = Rule(f"Consent/{consent.get('id')}", patient.id, permits=permits is True, about=about, flaw=flaw)
    if patient.elsewhere and rule.permits:
        return None
    return _constrained(rule, provision, zone) if isinstance(provision, Mapping) else rule


@dataclass(frozen=True, slots=True)
class _Patient:
    id: str
    elsewhere: bool


def _patient(consent: Resource) -> _Patient | None:
    """
    Whose Consent it is.

    An absolute reference may mean our patient or another server's: it is taken for a deny alone.
    """
    subject = consent.get("patient")
    reference = subject.get("reference") if isinstance(subject, Mapping) else None
    match = _PATIENT.fullmatch(reference) if isinstance(reference, str) else None
    return _Patient(match[2], elsewhere=bool(match[1])) if match else None


def _about(consent: Resource) -> frozenset[str] | None:
    """The purposes that a Consent of this scope speaks of; None when it is not about access to data."""
    codes = {_code(coding) for coding in _codings(consent.get("scope"))}
    if not codes or not codes <= _OTHER_SCOPES:
        return frozenset()
    return purposes.subsumed(purposes.RESEARCH) if _RESEARCH in codes else None


def _direction(consent: Resource, provision: Any) -> tuple[bool | None, str | None]:
    """Whether the Consent permits (None: as the base policy does), and what forbids to apply it so."""
    if not isinstance(provision, Mapping):
        return False, "the provision cannot be read"
    if "implicitRules" in consent or "modifierExtension" in consent or _has_modifier(provision):
        return False, "the consent has a modifier that is not understood"
    if "provision" in provision:
        return False, "exceptions to a consent are not understood yet"
    policies = {
        code for coding in _codings(consent.get("policyRule")) if (code := _code(coding)) in _POLICIES
    }
    stated = {_POLICIES[code] for code in policies}
    if "type" in provision or "_type" in provision:
        if provision.get("type") not in _TYPES:
            return False, "the type of the provision is not known"
        stated.add(provision["type"] == "permit")
    if len(stated) > 1:
        return False, "the consent contradicts itself"
    if not stated:
        return None, None
    permits = stated.pop()
    if permits and _RESTRICTED_OPT_IN in policies:
        return True, "the restrictions of the opt-in are not in the consent"
    return permits, None


def _has_modifier(provision: Mapping[str, Any]) -> bool:
    actors = provision.get("actor")
    parts = [provision, *(actors if isinstance(actors, list) else ())]
    return any("modifierExtension" in part for part in parts if isinstance(part, Mapping))


def _constrained(rule: Rule, provision: Mapping[str, Any], zone: tzinfo) -> Rule:
    """`rule` with the constraints of its provision: AND between elements, OR inside one."""
    try:
        start, end = _period(provision, zone)
        rule = replace(rule, start=start, end=end)
        if rule.flaw is None and not provision.keys() <= _UNDERSTOOD:
            rule = replace(rule, flaw="the provision has a constraint that is not understood yet")
        if rule.flaw is None:
            actors, clients, unresolved = _actors(provision)
            rule = replace(
                rule, actors=actors, clients=clients, unresolved=unresolved, purposes=_purposes(provision)
            )
    except ValueError as error:
        return replace(rule, flaw=str(error))
    return rule


def _period(provision: Mapping[str, Any], zone: tzinfo) -> tuple[int | None, int | None]:
    try:
        return bounds(provision.get("period"), zone)
    except ValueError as error:
        raise ValueError("the period cannot be read") from error


def _actors(provision: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str], bool]:
    """References and client ids of the actors, and whether one of them cannot be told from others."""
    references, clients, unresolved = set(), set(), False
    for actor in _objects(provision, "actor"):
        if not actor.keys() <= _UNDERSTOOD_OF_ACTOR:
            raise ValueError("an actor has an element that is not understood")
        if not any(_is_recipient(coding) for coding in _codings(actor.get("role"))):
            raise ValueError("the role of an actor is not that of an information recipient")
        named = actor.get("reference")
        reference, client = _named(named if isinstance(named, Mapping) else {})
        if reference is not None:
            references.add(reference.partition("/_history/")[0])
        if client is not None:
            clients.add(client)
        # Members of an organization, a team or a group, the user of a device and the holder of an
        # identifier are not known here.
        unresolved = unresolved or reference is None or not _PERSON.fullmatch(reference)
    return frozenset(references), frozenset(clients), unresolved


def _named(actor: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The reference of an actor, or the client id: an identifier without a system, as AuditEvents show it."""
    reference = actor.get("reference")
    if isinstance(reference, str):
        return reference, None
    identifier = actor.get("identifier")
    if not isinstance(identifier, Mapping) or "system" in identifier:
        return None, None
    value = identifier.get("value")
    return None, value if isinstance(value, str) else None


def _purposes(provision: Mapping[str, Any]) -> frozenset[str]:
    meant: set[str] = set()
    for coding in _objects(provision, "purpose"):
        code = coding.get("code")
        if coding.get("system", purposes.SYSTEM) != purposes.SYSTEM or not isinstance(code, str):
            raise ValueError("a purpose is not from the code system of purposes")
        meant |= purposes.subsumed(code)
    return frozenset(meant)


def _code(coding: Mapping[str, Any]) -> str:
    code = coding.get("code")
    return code if isinstance(code, str) else ""


def _is_recipient(coding: Mapping[str, Any]) -> bool:
    return coding.get("code") == "IRCP" and coding.get("system", _PARTICIPATION) == _PARTICIPATION


def _codings(concept: Any) -> list[Mapping[str, Any]]:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    if not isinstance(codings, Sequence) or isinstance(codings, str):
        return []
    return [coding for coding in codings if isinstance(coding, Mapping)]


def _objects(provision: Mapping[str, Any], element: str) -> list[Mapping[str, Any]]:
    values = provision.get(element, [])
    if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
        raise ValueError(f"`{element}` cannot be read")
    if element in provision and not values:
        raise ValueError(f"`{element}` is empty")
    return values


_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

_RESTRICTED_OPT_IN: Final = "OPTINR"
_POLICIES: Final[dict[str, bool]] = {"OPTIN": True, "OPTINR": True, "OPTOUT": False, "OPTOUTE": False}

_RESEARCH: Final = "research"
_OTHER_SCOPES: Final = frozenset({"adr", "treatment", _RESEARCH})
"""The scopes of https://hl7.org/fhir/R4/codesystem-consent-scope.html beside privacy."""

_TYPES: Final = ("permit", "deny")
_UNDERSTOOD: Final = frozenset({"id", "extension", "type", "period", "actor", "purpose"})
_UNDERSTOOD_OF_ACTOR: Final = frozenset({"id", "extension", "role", "reference"})

_PATIENT: Final = re.compile(r"(\S+/)?Patient/([A-Za-z0-9.\-]{1,64})(?:/_history/\S+)?")
_PERSON: Final = re.compile(r"(?:Practitioner|Patient|RelatedPerson)/[A-Za-z0-9.\-]{1,64}(?:/_history/\S+)?")
