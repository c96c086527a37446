"""
The operators of FHIRPath, on two evaluated operands.

http://hl7.org/fhirpath/N1/#operations
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.r4.fhirpath.nodes import NOTHING, TRUE, Collection, Node, boolean, single, truth
from fhir_server.r4.fhirpath.values import (
    compare,
    contains,
    decimal,
    distinct,
    equal,
    equivalent,
    text_of,
)

Operation = Callable[[Collection, Collection], Collection]


def _equal(left: Collection, right: Collection) -> Collection:
    return boolean(equal(left, right))


def _unequal(left: Collection, right: Collection) -> Collection:
    verdict = equal(left, right)
    return boolean(None if verdict is None else not verdict)


def _comparison(holds: Callable[[int], bool]) -> Operation:
    return lambda left, right: boolean(compare(left, right, holds))


def _and(left: Collection, right: Collection) -> Collection:
    verdicts = (truth(left), truth(right))
    return boolean(False if False in verdicts else (None if None in verdicts else True))


def _or(left: Collection, right: Collection) -> Collection:
    verdicts = (truth(left), truth(right))
    return boolean(True if True in verdicts else (None if None in verdicts else False))


def _xor(left: Collection, right: Collection) -> Collection:
    one, other = truth(left), truth(right)
    return boolean(None if one is None or other is None else one != other)


def _implies(left: Collection, right: Collection) -> Collection:
    premise, conclusion = truth(left), truth(right)
    if premise is False or conclusion is True:
        return TRUE
    return boolean(None if premise is None or conclusion is None else False)


def _in(left: Collection, right: Collection) -> Collection:
    item = single(left)
    return NOTHING if item is None else boolean(contains(right, item))


def _plus(left: Collection, right: Collection) -> Collection:
    one, other = single(left), single(right)
    if one is None or other is None:
        return NOTHING
    if isinstance(one.value, str) and isinstance(other.value, str):
        return [Node("string", one.value + other.value)]
    first, second = decimal(one), decimal(other)
    if first is None or second is None:
        return NOTHING
    both = "integer" if one.type == other.type == "integer" else "decimal"
    return [Node(both, first + second)]


def _concatenate(left: Collection, right: Collection) -> Collection:
    one, other = single(left), single(right)
    return [Node("string", (text_of(one) if one else "") + (text_of(other) if other else ""))]


OPERATIONS: Final[Mapping[str, Operation]] = {
    "=": _equal,
    "!=": _unequal,
    "~": lambda left, right: boolean(equivalent(left, right)),
    "!~": lambda left, right: boolean(not equivalent(left, right)),
    "<": _comparison(lambda order: order < 0),
    "<=": _comparison(lambda order: order <= 0),
    ">": _comparison(lambda order: order > 0),
    ">=": _comparison(lambda order: order >= 0),
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "|": lambda left, right: distinct(left + right),
    "in": _in,
    "contains": lambda left, right: _in(right, left),
    "+": _plus,
    "&": _concatenate,
}
