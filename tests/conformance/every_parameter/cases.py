"""
One case for each element and type that a search parameter selects: what is stored, what is asked,
and what must be found.

Three resources belong to a case: one with the value, a twin with another value, and one of the type
that says no more than it must (`bare`, the same for all cases of the type). Which of them have the
value is what fhirpathpy says of them (oracle.py).

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from fhir_server.r4.definitions import SearchParameter, definitions
from tests.conformance.every_parameter import coordinates
from tests.conformance.every_parameter.joined import Part, pairs_of_parts, stored
from tests.conformance.every_parameter.oracle import plainly, selected
from tests.conformance.every_parameter.paths import Selection, selections
from tests.conformance.every_parameter.resources import with_value, without
from tests.conformance.every_parameter.values import NOT_SEARCHED, pair, searches

NOT_WRITTEN: Final = frozenset(("AuditEvent",))
"""Nobody may create one: test_audit_parameters.py asks for those that the server wrote."""

GIVEN_BY_THE_SERVER: Final = frozenset(("_lastUpdated",))

BY_WORDS: Final = frozenset(("_content", "_text"))
"""Parameters of all types that have no expression: R4 says in words what they search."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search, as it stands in a URL, and the ids that it must find."""

    query: str
    expected: frozenset[str]


@dataclass(frozen=True, slots=True)
class Case:
    parameter: SearchParameter
    type: str
    about: str
    resources: tuple[dict[str, Any], ...]
    questions: tuple[Question, ...]


def parameters() -> Iterator[tuple[str, SearchParameter]]:
    """Each search parameter of R4 that says what it selects, in each type that one can write."""
    for type in sorted(definitions().resource_types - NOT_WRITTEN):
        for code, parameter in sorted(definitions().search_parameters[type].items()):
            if (parameter.expression is not None or code in BY_WORDS) and code not in GIVEN_BY_THE_SERVER:
                yield type, parameter


def cases() -> list[Case]:
    """All of them."""
    numbers = itertools.count(1)
    found = []
    for type, parameter in parameters():
        if parameter.code in BY_WORDS:
            found.append(_words(type, parameter, next(numbers)))
        elif len(parameter.components) == coordinates.PARTS:
            found.append(_coordinates(type, parameter, next(numbers)))
        elif parameter.type == "composite":
            both = pairs_of_parts(type, parameter)
            found += [_composite(type, parameter, parts, next(numbers)) for parts in both]
        else:
            found += [_case(type, parameter, one, next(numbers)) for one in selections(type, parameter)]
    return found


def bare(type: str) -> dict[str, Any]:
    return without(type, f"bare-{type}")


def _case(type: str, parameter: SearchParameter, one: Selection, n: int) -> Case:
    first, second = pair(one, n)
    resources = [bare(type), with_value(one, first, f"has-{n}")]
    if second is not None:
        resources.append(with_value(one, second, f"twin-{n}"))
    found = {resource["id"]: selected(type, parameter.expression or "", resource) for resource in resources}
    wanted = True if parameter.code == "deceased" else plainly(_placed(one, first))
    having = frozenset(id for id, values in found.items() if wanted in values)
    assert having >= {resources[1]["id"]}, (
        f"{parameter.url}, {one}: fhirpathpy does not select what was put there"
    )
    assert resources[-1]["id"] not in having or second is None, (
        f"{parameter.url}, {one}: the twin has the value"
    )
    others = frozenset(id for id, values in found.items() if values and id not in having)
    told = having | {id for id, values in found.items() if not values} | ({f"twin-{n}"} & others)
    questions = [
        *_missing(type, parameter.code, found),
        *(
            _question(type, f"{parameter.code}{modifier}", text, having, told)
            for modifier, text in _asked(parameter, one, first)
        ),
    ]
    return Case(parameter, type, str(one), tuple(resources[1:]), tuple(questions))


def _words(type: str, parameter: SearchParameter, n: int) -> Case:
    """A word of the narrative, and for `_content` of the display of a tag, which each type may have."""
    has, twin = (
        without(type, id) | _saying(f"word{n}x{which}", narrative=parameter.code == "_text")
        for which, id in enumerate((f"has-{n}", f"twin-{n}"))
    )
    among = {f"bare-{type}", has["id"], twin["id"]}
    question = _question(type, parameter.code, f"WORD{n}x0", frozenset((has["id"],)), among)
    return Case(parameter, type, parameter.code, (has, twin), (question,))


def _saying(word: str, *, narrative: bool) -> dict[str, Any]:
    if not narrative:
        return {"meta": {"tag": [{"code": "words", "display": f"A {word}"}]}}
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">A <b>{word}</b>.</div>'
    return {"text": {"status": "generated", "div": div}}


def _composite(type: str, parameter: SearchParameter, parts: tuple[Part, Part], n: int) -> Case:
    wanted, resource, twin = stored(parts, n)
    assert wanted.are_in(resource), f"{parameter.url}: fhirpathpy does not find both parts in one element"
    assert not wanted.are_in(twin), f"{parameter.url}: the twin has both parts in one element"
    about = f"{parts[0].one} and {parts[1].one}"
    return _found_together(parameter, type, about, (resource, twin), wanted.searches)


def _coordinates(type: str, parameter: SearchParameter, n: int) -> Case:
    both = coordinates.stored(parameter.code, n)
    return _found_together(parameter, type, parameter.code, both, coordinates.values())


def _found_together(
    parameter: SearchParameter,
    type: str,
    about: str,
    both: tuple[dict[str, Any], dict[str, Any]],
    texts: Iterable[str],
) -> Case:
    """Both have each part, the first of them all parts in one element."""
    ids = [resource["id"] for resource in both]
    questions = [
        _question(type, f"{parameter.code}:missing", "false", frozenset(ids), ids),
        _question(type, f"{parameter.code}:missing", "true", frozenset(), ids),
        *(_question(type, parameter.code, text, frozenset(ids[:1]), ids) for text in texts),
    ]
    return Case(parameter, type, about, both, tuple(questions))


def _asked(parameter: SearchParameter, one: Selection, value: Any) -> list[tuple[str, str]]:
    if (parameter.type, one.kind) in NOT_SEARCHED:
        return []
    return searches(parameter.type, one, value)


def _placed(one: Selection, value: Any) -> Any:
    return {**one.last.beside, **value} if isinstance(value, dict) else value


def _question(type: str, name: str, text: str, expected: frozenset[str], among: Iterable[str]) -> Question:
    return Question(f"{type}?{name}={quote(text, safe='')}&_id={','.join(sorted(among))}", expected)


def _missing(type: str, code: str, found: dict[str, list[Any]]) -> Iterator[Question]:
    there = frozenset(id for id, values in found.items() if values)
    yield _question(type, f"{code}:missing", "false", there, found.keys())
    yield _question(type, f"{code}:missing", "true", frozenset(found) - there, found.keys())
