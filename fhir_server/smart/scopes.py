"""
SMART scopes: what a token lets its bearer ask for.

Version 2 (`patient/Observation.rs`) and version 1 (`patient/Observation.read`) are understood.
A scope that is not understood, granular ones included until they are, is dropped: it never
widens anything.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Permission = Literal["c", "r", "u", "d", "s"]
"""create; read, vread and instance history; update; delete; search and type or system history."""

SCOPE_CHARACTERS_MAX: Final = 16_384

_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(c?r?u?d?s?|read|write|\*)")
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope: `context` is patient, user or system; `type` a resource type or `*`."""

    context: str
    type: str
    permissions: frozenset[str]
    text: str

    def covers(self, resource_type: str, permission: Permission) -> bool:
        return permission in self.permissions and self.type in ("*", resource_type)


def parse(text: str, known_types: frozenset[str]) -> Scope | None:
    """The scope that `text` writes; None when it is no scope for FHIR resources that we know."""
    match = _SCOPE.fullmatch(text)
    if match is None:
        return None
    context, resource_type, permissions = match.groups()
    if not permissions or (resource_type != "*" and resource_type not in known_types):
        return None
    return Scope(context, resource_type, frozenset(_VERSION_1.get(permissions, permissions)), text)


def granted(text: str, known_types: frozenset[str]) -> tuple[Scope, ...]:
    """The scopes in a space-separated list that are understood, in order, each once."""
    if len(text) > SCOPE_CHARACTERS_MAX:
        return ()
    found = (parse(word, known_types) for word in dict.fromkeys(text.split(" ")))
    return tuple(scope for scope in found if scope is not None)


def contexts(scopes: tuple[Scope, ...], resource_type: str, permission: Permission) -> frozenset[str]:
    """The contexts (patient, user, system) in which some scope covers this; empty when none does."""
    return frozenset(scope.context for scope in scopes if scope.covers(resource_type, permission))
