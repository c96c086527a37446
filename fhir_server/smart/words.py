"""
Scopes in the words of the people who grant them, and what they may grant instead.

`offers` promises that each of its texts is a scope that was asked for, or lies within it and stays as it
is written when it is narrowed to that (`fhir_server.smart.scopes.narrowed`): whoever chooses among them
grants no more than what was asked.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fhir_server.r4.definitions import definitions
from fhir_server.smart.kinds import CATEGORIES, USUAL_TYPES, category_words, plural
from fhir_server.smart.scopes import Scope, parse


@dataclass(frozen=True, slots=True)
class Offer:
    """A scope (`text`) that a person may grant, in words; `narrower` are those to grant in its place."""

    text: str
    title: str
    explanation: str = ""
    narrower: tuple[Offer, ...] = ()


def in_words(scope_text: str) -> str:
    """What the bearer of this scope may do; of one that this server does not know, its text as it is."""
    if scope_text in _NOT_OF_RESOURCES:
        return _NOT_OF_RESOURCES[scope_text][0]
    known_types = definitions().resource_types
    launched = _LAUNCH.match(scope_text)
    if launched is not None:
        found = [type for type in known_types if type.lower() == launched[1].lower()]
        return f"Know what was open when you started it: {plural(found[0])}" if found else scope_text
    scope = parse(scope_text, known_types)
    return scope_text if scope is None else _title(scope)


def offers(scopes: Sequence[str], known_types: Collection[str]) -> tuple[Offer, ...]:
    """One for each scope, in order, each once; types that are not known here are not offered."""
    types = frozenset(known_types)
    return tuple(_offer(text, types) for text in dict.fromkeys(scopes))


def _offer(text: str, known_types: frozenset[str]) -> Offer:
    if text in _NOT_OF_RESOURCES:
        return Offer(text, *_NOT_OF_RESOURCES[text])
    scope = parse(text, known_types)
    if scope is None:
        return Offer(text, in_words(text))
    parts = [parse(one, known_types) for one in dict.fromkeys(_within(scope, known_types))]
    narrower = tuple(Offer(part.text, _deed(part)) for part in parts if part is not None)
    return Offer(text, _title(scope), _explanation(scope), narrower)


def _title(scope: Scope) -> str:
    return f"{_deed(scope)}{_WHOSE[scope.context]}"


def _deed(scope: Scope) -> str:
    """What is done to what: whose it is goes without saying below an offer that says it."""
    verbs = [verb for letters, verb in _VERBS if scope.permissions & letters]
    return f"{_listed(verbs).capitalize()} {_what(scope)}"


def _what(scope: Scope) -> str:
    """What is seen or changed: as the categories are called where these are all, else what is searched by."""
    query = scope.text.partition("?")[2]
    if not query:
        return plural(scope.type)
    name, _, values = query.partition("=")
    told = [category_words(scope.type, unquote(value)) for value in values.split(",")]
    if name == "category" and "&" not in query and all(told):
        return _listed([words for words in told if words])
    return f"{plural(scope.type)}, only with {_listed([unquote(part) for part in query.split('&')])}"


def _explanation(scope: Scope) -> str:
    told = []
    if scope.type == "*" and not scope.is_granular:
        told.append("This is all that the record holds now, and what is added to it later.")
    if scope.permissions & _WRITING:
        told.append("The app changes the record itself, on which others rely.")
    match sorted(scope.permissions & _READING):
        case ["r"]:
            told.append("It opens one entry at a time, and cannot search for them.")
        case ["s"]:
            told.append("It searches for them, and cannot open one by its address.")
    return " ".join(told)


def _within(scope: Scope, known_types: frozenset[str]) -> Iterator[str]:
    """The scopes that may be granted in its place: what only reads first, then what does all it does."""
    reading = scope.permissions & _READING
    only_reads = reading == scope.permissions
    if reading and not only_reads:
        yield _written(scope, scope.type, reading)
    if scope.is_granular:
        return
    kept = (scope.permissions,) if only_reads or not reading else (reading, scope.permissions)
    for permissions in kept:
        if scope.type == "*":
            yield from (_written(scope, type, permissions) for type in USUAL_TYPES if type in known_types)
        for category in CATEGORIES.get(scope.type, ()):
            letters = "".join(letter for letter in _LETTERS if letter in permissions)
            yield f"{scope.context}/{scope.type}.{letters}?category={category.token}"


def _written(scope: Scope, resource_type: str, permissions: frozenset[str]) -> str:
    """The same for another type or with fewer permissions, in the version of the grammar that it has."""
    head, question, query = scope.text.partition("?")
    suffix = head.rpartition(".")[2]
    if permissions != scope.permissions:
        letters = "".join(letter for letter in _LETTERS if letter in permissions)
        suffix = "read" if suffix == "*" else letters
    return f"{scope.context}/{resource_type}.{suffix}{question}{query}"


def _listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join((", ".join(words[:-1]), words[-1]) if len(words) > 1 else words)


_LAUNCH: Final = re.compile(r"launch/([A-Za-z]+)(?:\?|$)")
_LETTERS: Final = "cruds"
_READING: Final = frozenset("rs")
_WRITING: Final = frozenset("cud")
_VERBS: Final = (
    (_READING, "see"),
    (frozenset("c"), "add"),
    (frozenset("u"), "change"),
    (frozenset("d"), "delete"),
)

_WHOSE: Final = {
    "patient": "",
    "user": ", for everyone whose record you can see",
    "system": ", for all patients",
}

_WHO: Final = ("Know who you are", "It learns your name and your entry in the record system.")
_NOT_OF_RESOURCES: Final = {
    "openid": ("Recognize you when you log in", "It can tell that it is you again, and no one else."),
    "fhirUser": _WHO,
    "profile": _WHO,
    "launch": ("Know what you were working on when you started it", ""),
    "launch/patient": ("Know which patient this is about", ""),
    "launch/encounter": ("Know which visit this is about", ""),
    "offline_access": (
        "Keep access when you are not there (until you take it back)",
        "It gets data again and again without asking you. You can end this at any time.",
    ),
    "online_access": (
        "Keep access while you are logged in",
        "It gets data without asking you again, until you log out.",
    ),
}
