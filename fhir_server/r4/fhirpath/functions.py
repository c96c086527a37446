"""
The functions of FHIRPath that R4's search parameters and invariants use.

A builder gets the compiled input and the compiled arguments, and gives the compiled call. Those
with a type as argument (`ofType`) and `resolve` are in `compiler.py`.

http://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from fhir_server.r4.fhirpath.model import is_primitive
from fhir_server.r4.fhirpath.nodes import (
    NOTHING,
    Collection,
    Environment,
    Evaluate,
    Node,
    boolean,
    child,
    children,
    descendants,
    single,
    truth,
)
from fhir_server.r4.fhirpath.values import distinct, intersection, text_of
from fhir_server.r4.narrative import narrative_fault

Builder = Callable[[Evaluate, tuple[Evaluate, ...]], Evaluate]


class Function(NamedTuple):
    """`arguments` is how many the call may have, least and most."""

    arguments: tuple[int, int]
    build: Builder


def _exists(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    if arguments:
        of = _where(of, arguments)
    return lambda this, around: boolean(bool(of(this, around)))


def _empty(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
    return lambda this, around: boolean(not of(this, around))


def _where(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (criterion,) = arguments

    def where(this: Collection, around: Environment) -> Collection:
        return [item for item in of(this, around) if truth(criterion([item], around))]

    return where


def _select(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (projection,) = arguments

    def select(this: Collection, around: Environment) -> Collection:
        return [found for item in of(this, around) for found in projection([item], around)]

    return select


def _all(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (criterion,) = arguments

    def all_(this: Collection, around: Environment) -> Collection:
        return boolean(all(truth(criterion([item], around)) for item in of(this, around)))

    return all_


def _not(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
    def not_(this: Collection, around: Environment) -> Collection:
        value = truth(of(this, around))
        return boolean(None if value is None else not value)

    return not_


def _iif(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    criterion, then, *otherwise = arguments

    def iif(this: Collection, around: Environment) -> Collection:
        focus = of(this, around)
        if truth(criterion(focus, around)):
            return then(focus, around)
        return otherwise[0](focus, around) if otherwise else NOTHING

    return iif


def _part(cut: Callable[[Collection], Collection]) -> Builder:
    """A function of the input alone."""

    def build(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
        return lambda this, around: cut(of(this, around))

    return build


def _has_value(collection: Collection) -> Collection:
    node = collection[0] if len(collection) == 1 else None
    return boolean(node is not None and node.value is not None and is_primitive(node.type))


def _is_distinct(collection: Collection) -> Collection:
    return boolean(len(distinct(collection)) == len(collection))


def _count(collection: Collection) -> Collection:
    return [Node("integer", len(collection))]


def _to_string(collection: Collection) -> Collection:
    node = single(collection)
    if node is None or node.value is None or isinstance(node.value, dict):
        return NOTHING
    return [Node("string", text_of(node))]


def _length(collection: Collection) -> Collection:
    node = single(collection)
    return NOTHING if node is None else [Node("integer", len(str(node.value)))]


def _to_integer(collection: Collection) -> Collection:
    node = single(collection)
    if node is None:
        return NOTHING
    if isinstance(node.value, str) and _INTEGER.fullmatch(node.value):
        return [Node("integer", int(node.value))]
    return [Node("integer", int(node.value))] if isinstance(node.value, int) else NOTHING


_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


def _substring(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    start, *length = arguments

    def substring(this: Collection, around: Environment) -> Collection:
        item, first = single(of(this, around)), _count_of(start(this, around))
        if item is None or not isinstance(item.value, str) or first is None:
            return NOTHING
        if not 0 <= first < len(item.value):
            return NOTHING
        wanted = _count_of(length[0](this, around)) if length else None
        return [Node("string", item.value[first:] if wanted is None else item.value[first : first + wanted])]

    return substring


def _count_of(collection: Collection) -> int | None:
    node = single(collection)
    return node.value if node is not None and isinstance(node.value, int) else None


def _html_checks(collection: Collection) -> Collection:
    """FHIR's own: is this what a narrative may be?"""
    node = single(collection)
    if node is None:
        return NOTHING
    return boolean(isinstance(node.value, str) and narrative_fault(node.value) is None)


def _matches(of: Evaluate, pattern: re.Pattern[str]) -> Evaluate:
    """The whole text, as R4's invariants mean it: `[A-Z]([A-Za-z0-9_]){0,254}` is all of a name."""

    def matches(this: Collection, around: Environment) -> Collection:
        item = single(of(this, around))
        if item is None or item.value is None:
            return NOTHING
        return boolean(pattern.fullmatch(str(item.value)) is not None)

    return matches


def _replace_matches(of: Evaluate, pattern: re.Pattern[str], substitute: str) -> Evaluate:
    def replace_matches(this: Collection, around: Environment) -> Collection:
        item = single(of(this, around))
        if item is None or not isinstance(item.value, str):
            return NOTHING
        return [Node("string", pattern.sub(lambda _: substitute, item.value))]

    return replace_matches


def _text_question(ask: Callable[[str, str], bool]) -> Builder:
    """A question about a string and the string that is the argument."""

    def build(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
        (argument,) = arguments

        def question(this: Collection, around: Environment) -> Collection:
            item, wanted = single(of(this, around)), single(argument(this, around))
            if item is None or wanted is None or item.value is None:
                return NOTHING
            return boolean(ask(str(item.value), str(wanted.value)))

        return question

    return build


def _merge(join: Callable[[Collection, Collection], Collection]) -> Builder:
    """A function of the input and another collection."""

    def build(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
        (other,) = arguments
        return lambda this, around: join(of(this, around), other(this, around))

    return build


def _extension(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (url,) = arguments
    extensions = child("extension")

    def extension(this: Collection, around: Environment) -> Collection:
        wanted = single(url(this, around))
        if wanted is None:
            return NOTHING
        return [
            item
            for item in extensions(of(this, around))
            if isinstance(item.value, dict) and item.value.get("url") == wanted.value
        ]

    return extension


def _trace(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
    return of


FUNCTIONS: Final[Mapping[str, Function]] = {
    "all": Function((1, 1), _all),
    "children": Function((0, 0), _part(children)),
    "combine": Function((1, 1), _merge(lambda left, right: left + right)),
    "contains": Function((1, 1), _text_question(lambda text, part: part in text)),
    "count": Function((0, 0), _part(_count)),
    "descendants": Function((0, 0), _part(descendants)),
    "distinct": Function((0, 0), _part(distinct)),
    "empty": Function((0, 0), _empty),
    "endsWith": Function((1, 1), _text_question(lambda text, part: text.endswith(part))),
    "exists": Function((0, 1), _exists),
    "extension": Function((1, 1), _extension),
    "first": Function((0, 0), _part(lambda collection: collection[:1])),
    "hasValue": Function((0, 0), _part(_has_value)),
    "htmlChecks": Function((0, 0), _part(_html_checks)),
    "iif": Function((2, 3), _iif),
    "intersect": Function((1, 1), _merge(intersection)),
    "isDistinct": Function((0, 0), _part(_is_distinct)),
    "last": Function((0, 0), _part(lambda collection: collection[-1:])),
    "length": Function((0, 0), _part(_length)),
    "not": Function((0, 0), _not),
    "select": Function((1, 1), _select),
    "startsWith": Function((1, 1), _text_question(lambda text, part: text.startswith(part))),
    "substring": Function((1, 2), _substring),
    "tail": Function((0, 0), _part(lambda collection: collection[1:])),
    "toInteger": Function((0, 0), _part(_to_integer)),
    "toString": Function((0, 0), _part(_to_string)),
    # A hook for people who debug expressions; its result is its input.
    "trace": Function((1, 2), _trace),
    "union": Function((1, 1), _merge(lambda left, right: distinct(left + right))),
    "where": Function((1, 1), _where),
}

PATTERN_FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Evaluate], int]]] = {
    "matches": (_matches, 0),
    "replaceMatches": (_replace_matches, 1),
}
"""The functions of a regular expression, with how many constants follow it."""
