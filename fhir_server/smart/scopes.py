"""
SMART scopes: what a token lets its bearer ask for.

Version 2 (`patient/Observation.rs`), also with a search as its criteria
(`patient/Observation.rs?category=laboratory`), and version 1 (`patient/Observation.read`) are understood. A
scope that is not understood is dropped: it never widens anything.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from fhir_server.search.predicates.predicate import Everything, Predicate
from fhir_server.search.values.site import Site
from fhir_server.smart.criteria import understood

Permission = Literal["c", "r", "u", "d", "s"]
"""create; read, vread and instance history; update; delete; search and type or system history."""

SCOPE_CHARACTERS_MAX: Final = 16_384
SCOPES_MAX: Final = 200

WORDS: Final = frozenset(
    (
        "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter",
        "offline_access", "online_access",
    )
)  # fmt: skip
"""Scopes of apps that give no right to resources: who the user is, the context, and for how long."""

LAUNCH: Final = "__launch"
INTROSPECT: Final = "__introspect"
EXTENSIONS: Final = frozenset((LAUNCH, INTROSPECT))
"""Ours, for clients that they were agreed on with: to make launches; to ask what a token is worth."""

_CONTEXT: Final = re.compile(r"launch/([a-z]{3,64})(?:\?role=([!-~]{1,200}))?")
_ANYWHERE: Final = Site()

_SCOPE = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(?:(c?r?u?d?s?)(?:\?([!-~]+))?|(read|write|\*))"
)
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}


@dataclass(frozen=True, slots=True)
class Scope:
    """
    One scope: `context` is patient, user or system; `type` a resource type or `*`.

    `within` is true of what its criteria let through.
    """

    context: str
    type: str
    permissions: frozenset[str]
    text: str
    within: Predicate = field(default_factory=Everything)

    def covers(self, resource_type: str, permission: Permission) -> bool:
        return permission in self.permissions and self.type in ("*", resource_type)

    @property
    def is_granular(self) -> bool:
        """Are there criteria?"""
        return not isinstance(self.within, Everything)


def parse(text: str, known_types: frozenset[str], site: Site = _ANYWHERE) -> Scope | None:
    """
    The scope that `text` writes; None when it is no scope for FHIR resources that we know.

    `site` says what its criteria take from the installation: whose addresses are ours, where dates are.
    """
    match = _SCOPE.fullmatch(text)
    if match is None:
        return None
    context, resource_type, permissions, query, version_1 = match.groups()
    if not (permissions or version_1) or (resource_type != "*" and resource_type not in known_types):
        return None
    allowed = frozenset(_VERSION_1[version_1] if version_1 else permissions)
    if query is None:
        return Scope(context, resource_type, allowed, text)
    within = understood(None if resource_type == "*" else resource_type, query, site)
    return None if within is None else Scope(context, resource_type, allowed, text, within)


def granted(text: str, known_types: frozenset[str], site: Site = _ANYWHERE) -> tuple[Scope, ...]:
    """The scopes in a space-separated list that are understood, in order, each once."""
    words = tuple(dict.fromkeys(text.split(" "))) if len(text) <= SCOPE_CHARACTERS_MAX else ()
    if len(words) > SCOPES_MAX:
        return ()
    found = (parse(word, known_types, site) for word in words)
    return tuple(scope for scope in found if scope is not None)


def context_of(word: str) -> tuple[str, str | None] | None:
    """
    The type, in lower case, and the role of what an app asks to be told of its launch, beside the patient and
    the encounter: `launch/imagingstudy?role=...`. None for another scope.
    """
    match = _CONTEXT.fullmatch(word)
    return None if match is None or word in WORDS else (match[1], match[2])


def words(text: str) -> tuple[str, ...]:
    """Those in a space-separated list that are no scopes for FHIR resources and that we know, each once."""
    found = text.split(" ") if len(text) <= SCOPE_CHARACTERS_MAX else ()
    known = (word for word in found if word in WORDS or word in EXTENSIONS or context_of(word))
    return tuple(dict.fromkeys(known))


def covering(scopes: Iterable[Scope], resource_type: str, permission: Permission) -> tuple[Scope, ...]:
    """The scopes that cover this, each within its criteria."""
    return tuple(scope for scope in scopes if scope.covers(resource_type, permission))


def contexts(scopes: Iterable[Scope], resource_type: str, permission: Permission) -> frozenset[str]:
    """The contexts (patient, user, system) in which all of this type is covered; empty when it is in none."""
    found = covering(scopes, resource_type, permission)
    return frozenset(scope.context for scope in found if not scope.is_granular)


def narrowed(asked: str, allowed: str, known_types: frozenset[str], site: Site = _ANYWHERE) -> str:
    """
    As much of the scopes that are `asked` for as is within those that are `allowed`; a text without any when
    that is nothing. What is wholly allowed stays as it was written.
    """
    limits = granted(allowed, known_types, site)
    found: list[str] = []
    for scope in granted(asked, known_types, site):
        parts = [text for limit in limits if (text := _within(scope, limit))]
        found.extend([scope.text] if scope.text in parts else parts)
    return " ".join(dict.fromkeys(found))


def _within(scope: Scope, limit: Scope) -> str | None:
    """What both let do, as a scope; None for nothing."""
    types = {scope.type, limit.type} - {"*"}
    permissions = scope.permissions & limit.permissions
    if scope.context != limit.context or len(types) > 1 or not permissions:
        return None
    criteria = list(dict.fromkeys(text for one in (scope, limit) if (text := one.text.partition("?")[2])))
    if permissions == scope.permissions and types <= {scope.type} and len(criteria) <= scope.is_granular:
        return scope.text
    letters = "".join(letter for letter in "cruds" if letter in permissions)
    query = f"?{'&'.join(criteria)}" if criteria else ""
    return f"{scope.context}/{''.join(types) or '*'}.{letters}{query}"
