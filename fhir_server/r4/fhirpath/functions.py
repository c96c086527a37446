"""
The functions of FHIRPath that R4's search parameters and most of its invariants use.

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
    Evaluate,
    Node,
    boolean,
    child,
    single,
    truth,
)
from fhir_server.r4.fhirpath.values import contains, distinct, text_of

Builder = Callable[[Evaluate, tuple[Evaluate, ...]], Evaluate]


class Function(NamedTuple):
    """`arguments` is how many the call may have, least and most."""

    arguments: tuple[int, int]
    build: Builder


def _exists(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    if arguments:
        of = _where(of, arguments)
    return lambda this, resource: boolean(bool(of(this, resource)))


def _empty(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
    return lambda this, resource: boolean(not of(this, resource))


def _where(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (criterion,) = arguments

    def where(this: Collection, resource: Node) -> Collection:
        return [item for item in of(this, resource) if truth(criterion([item], resource))]

    return where


def _select(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (projection,) = arguments

    def select(this: Collection, resource: Node) -> Collection:
        return [found for item in of(this, resource) for found in projection([item], resource)]

    return select


def _all(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (criterion,) = arguments

    def all_(this: Collection, resource: Node) -> Collection:
        return boolean(all(truth(criterion([item], resource)) for item in of(this, resource)))

    return all_


def _not(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
    def not_(this: Collection, resource: Node) -> Collection:
        value = truth(of(this, resource))
        return boolean(None if value is None else not value)

    return not_


def _iif(_: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    criterion, then, *otherwise = arguments

    def iif(this: Collection, resource: Node) -> Collection:
        if truth(criterion(this, resource)):
            return then(this, resource)
        return otherwise[0](this, resource) if otherwise else NOTHING

    return iif


def _part(cut: Callable[[Collection], Collection]) -> Builder:
    """A function of the input alone."""

    def build(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
        return lambda this, resource: cut(of(this, resource))

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


def _text_question(ask: Callable[[str, str], bool]) -> Builder:
    """A question about a string and the string that is the argument."""

    def build(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
        (argument,) = arguments

        def question(this: Collection, resource: Node) -> Collection:
            item, wanted = single(of(this, resource)), single(argument(this, resource))
            if item is None or wanted is None or item.value is None:
                return NOTHING
            return boolean(ask(str(item.value), str(wanted.value)))

        return question

    return build


def _merge(join: Callable[[Collection, Collection], Collection]) -> Builder:
    """A function of the input and another collection."""

    def build(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
        (other,) = arguments
        return lambda this, resource: join(of(this, resource), other(this, resource))

    return build


def _extension(of: Evaluate, arguments: tuple[Evaluate, ...]) -> Evaluate:
    (url,) = arguments
    extensions = child("extension")

    def extension(this: Collection, resource: Node) -> Collection:
        wanted = single(url(this, resource))
        if wanted is None:
            return NOTHING
        return [item for item in extensions(of(this, resource)) if item.value.get("url") == wanted.value]

    return extension


def _trace(of: Evaluate, _: tuple[Evaluate, ...]) -> Evaluate:
    return of


FUNCTIONS: Final[Mapping[str, Function]] = {
    "all": Function((1, 1), _all),
    "combine": Function((1, 1), _merge(lambda left, right: left + right)),
    "contains": Function((1, 1), _text_question(lambda text, part: part in text)),
    "count": Function((0, 0), _part(_count)),
    "distinct": Function((0, 0), _part(distinct)),
    "empty": Function((0, 0), _empty),
    "endsWith": Function((1, 1), _text_question(lambda text, part: text.endswith(part))),
    "exists": Function((0, 1), _exists),
    "extension": Function((1, 1), _extension),
    "first": Function((0, 0), _part(lambda collection: collection[:1])),
    "hasValue": Function((0, 0), _part(_has_value)),
    "iif": Function((2, 3), _iif),
    "intersect": Function(
        (1, 1), _merge(lambda left, right: distinct([item for item in left if contains(right, item)]))
    ),
    "isDistinct": Function((0, 0), _part(_is_distinct)),
    "last": Function((0, 0), _part(lambda collection: collection[-1:])),
    "length": Function((0, 0), _part(_length)),
    # The whole text, as R4's invariants mean it: `[A-Z]([A-Za-z0-9_]){0,254}` is all of a name.
    "matches": Function(
        (1, 1), _text_question(lambda text, pattern: bool(re.fullmatch(pattern, text, re.DOTALL)))
    ),
    "not": Function((0, 0), _not),
    "select": Function((1, 1), _select),
    "startsWith": Function((1, 1), _text_question(lambda text, part: text.startswith(part))),
    "tail": Function((0, 0), _part(lambda collection: collection[1:])),
    "toString": Function((0, 0), _part(_to_string)),
    # A hook for people who debug expressions; its result is its input.
    "trace": Function((1, 2), _trace),
    "union": Function((1, 1), _merge(lambda left, right: distinct(left + right))),
    "where": Function((1, 1), _where),
}
