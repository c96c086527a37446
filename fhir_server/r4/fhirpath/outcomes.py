"""
What an expression can select in a type, known without a resource.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from typing import NamedTuple

from fhir_server.r4.definitions import ElementFacts
from fhir_server.r4.fhirpath.model import alternatives, is_a, is_type, known_type
from fhir_server.r4.fhirpath.syntax import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Syntax,
    TypeOperation,
    Variable,
    type_name,
)


class Outcome(NamedTuple):
    """A type of result and the element it is declared by; None for the resource and for computed values."""

    type: str
    element: ElementFacts | None = None


Outcomes = tuple[Outcome, ...]

_KEEPING = frozenset(("where", "first", "last", "tail", "distinct", "trace"))


def outcomes(expression: Syntax, type: str, resource: str | None = None) -> Outcomes:
    """
    The types of result of `expression` asked of a `type`; none if it names what is not there.

    `resource` is the type of `%resource`, where that is another one.
    """
    return _outcomes(expression, (Outcome(type),), Outcome(resource or type))


def _outcomes(expression: Syntax, focus: Outcomes, resource: Outcome) -> Outcomes:
    match expression:
        case Literal(type=type):
            return (Outcome(type),)
        case Variable(name="resource"):
            return (resource,)
        case Member(of=None, name=name) if name[0].isupper() and is_type(name):
            return tuple(outcome for outcome in focus if is_a(outcome.type, name))
        case Member(of=of, name=name):
            return tuple(
                Outcome(found.type, found.element)
                for outcome in (_outcomes(of, focus, resource) if of else focus)
                for found in alternatives(outcome.type, name)
            )
        case Index(of=of):
            return _outcomes(of, focus, resource)
        case TypeOperation(operator="as", of=of, type=wanted):
            return _only(_outcomes(of, focus, resource), wanted)
        case Binary(operator="|", left=left, right=right):
            both = _outcomes(left, focus, resource) + _outcomes(right, focus, resource)
            return tuple(dict.fromkeys(both))
        case Call(of=of, name=name, arguments=arguments):
            return _of_call(_outcomes(of, focus, resource) if of else focus, name, arguments)
        case _:
            return (Outcome("boolean"),)


def _of_call(of: Outcomes, name: str, arguments: tuple[Syntax, ...]) -> Outcomes:
    if name in _KEEPING:
        return of
    if name in ("as", "ofType"):
        return _only(of, type_name(arguments[0]) or "")
    if name == "extension":
        return (Outcome("Extension"),)
    return (Outcome("boolean"),)


def _only(of: Outcomes, wanted: str) -> Outcomes:
    type = known_type(wanted)
    return tuple(outcome for outcome in of if type is not None and is_a(outcome.type, type))
