"""
App state: Basics that belong to apps, and who sees and writes them.

A Basic is app state when its code is, or ever was, in the registration of some client; what is left of it
to a caller is a restriction beside those of scopes and consents, and never widens them:

* without the code in its registration, a client sees none of it;
* what is about a patient is seen by whoever may see the patient's record;
* what is about a user (Practitioner, PractitionerRole, RelatedPerson, Person) by that user alone;
* what is about nobody (global) is read by all apps with the code, and written by those that administer it.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from fhir_server.search.predicates.entry import Entry, escape
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Everything,
    Nothing,
    Predicate,
    TokenPrefix,
    all_of,
    any_of,
    none_of,
    token,
)

TYPE: Final = "Basic"
SUBJECT_TYPES: Final = frozenset(("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"))

May = Literal["read", "write", "global"]

_SUBJECT: Final = f"{TYPE}|subject|"
_OF_NOBODY: Final = none_of(TokenPrefix(_SUBJECT))


def state_token(system: str, code: str) -> str:
    """What a Basic with this code is found by."""
    return f"{TYPE}|code|{escape(system)}|{escape(code)}"


@dataclass(frozen=True, slots=True, eq=False)
class AppState:
    """
    All codes that are app state, as tokens, and what each client may do with which; compared by identity.

    A code stays one when the client that had it is gone: what stands under it then is nobody's.
    """

    reserved: frozenset[str] = frozenset()
    allowed: Mapping[str, Mapping[str, May]] = field(default_factory=dict)

    def concerns(self, entry: Entry) -> bool:
        """Is the resource with this index entry app state?"""
        return bool(self.reserved) and not self.reserved.isdisjoint(entry.tokens)

    def codes_of(self, client: str) -> frozenset[str]:
        """The tokens of the codes that a client may see."""
        return frozenset(self.allowed.get(client, ()))

    def left(self, client: str, user: str | None, *, writes: bool) -> Predicate:
        """True of all that is no app state, and of what is left of it to this client and user."""
        return _left(self, client, user, writes=writes) if self.reserved else Everything()


@dataclass(frozen=True, slots=True)
class Share:
    """What one client, for one user, has of the app state that is `known` when it is asked."""

    known: Callable[[], AppState]
    client: str
    user: str | None
    writes: bool

    def left(self) -> Predicate:
        """As AppState's."""
        return self.known().left(self.client, self.user, writes=self.writes)

    def concerns(self, entry: Entry) -> bool:
        """As AppState's."""
        return self.known().concerns(entry)


@lru_cache(maxsize=4_096)
def _left(state: AppState, client: str, user: str | None, *, writes: bool) -> Predicate:
    allowed = state.allowed.get(client, {})
    own = frozenset(code for code, may in allowed.items() if not writes or may != "read")
    administered = _any(code for code, may in allowed.items() if not writes or may == "global")
    about = any_of(TokenPrefix(f"{_SUBJECT}Patient/"), of_user(user), all_of(_OF_NOBODY, administered))
    return all_of(
        none_of(_any(state.reserved - own)),
        any_of(none_of(_any(own)), about) if own else Everything(),
    )


def of_user(user: str | None) -> Predicate:
    """It is about this user."""
    return token(f"{_SUBJECT}{escape(user)}") if user else Nothing()


def of_nobody_or(user: str | None) -> Predicate:
    """It is about this user, or about nobody."""
    return any_of(_OF_NOBODY, of_user(user))


def _any(tokens: Iterable[str]) -> Predicate:
    found = frozenset(tokens)
    return AnyToken(found) if found else Nothing()
