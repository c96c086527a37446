"""
The part of FHIRPath that leads to places, which is what FHIRPath Patch needs: elements, `[0]`,
`first()`, `last()`, `where(...)`, `ofType(...)` and `extension('url')`.

What is in `where(...)` is a condition on the item and what it holds: paths, constants,
comparisons and a few functions. Other variables and functions are refused by name; a condition
that can look at everything from everywhere, or take a regular expression, can cost without bound.

https://hl7.org/fhir/R4/fhirpatch.html, https://hl7.org/fhir/R4/fhirpath.html#simple
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fhir_server.r4.fhirpath import Evaluate, UnsupportedExpression, compiled_syntax, parse
from fhir_server.r4.fhirpath.model import is_type, known_type
from fhir_server.r4.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Syntax,
    This,
    TypeOperation,
    Unary,
    Variable,
    type_name,
)
from fhir_server.r4.patch.faults import Misstated

PATH_CHARACTERS_MAX: Final = 1_000


# No list is as long; an index of any length may be written.
_INDEX_MAX: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Start:
    """`Patient` at the start of a path."""

    type: str


@dataclass(frozen=True, slots=True)
class Child:
    """The element of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class At:
    """`[index]`, and `first()` as the place 0."""

    index: int


@dataclass(frozen=True, slots=True)
class Last:
    """`last()`"""


@dataclass(frozen=True, slots=True)
class OfType:
    """`ofType(type)`, `as(type)`, `as type`"""

    type: str


@dataclass(frozen=True, slots=True)
class Where:
    """`terms` is how long the condition is, which is what it costs for each element it looks at."""

    condition: Evaluate
    terms: int


Step = Start | Child | At | Last | OfType | Where
Path = tuple[Step, ...]


@lru_cache(1024)
def parsed(text: str) -> Path:
    """The steps that `text` says. Raises Misstated for what leads to no place, or is not permitted."""
    if len(text) > PATH_CHARACTERS_MAX:
        raise Misstated(f"has a path of more than {PATH_CHARACTERS_MAX} characters")
    try:
        return tuple(reversed(_steps(parse(text))))
    except UnsupportedExpression as error:
        # Its own message shows the word at which reading stopped: that may be a value.
        raise Misstated("has a path that is not FHIRPath, or has a condition that is not known") from error
    except RecursionError as error:
        raise Misstated("has a path of too many steps") from error


def _steps(syntax: Syntax) -> list[Step]:
    """From the last one to the first: a path is long, so this is a loop and no recursion."""
    found: list[Step] = []
    rest: Syntax | None = syntax
    while rest is not None:
        match rest:
            case This():
                rest = None
            case Member(of=None, name=name) if name[:1].isupper():
                found.append(Start(name))
                rest = None
            case Member(of=of, name=name):
                found.append(Child(name))
                rest = of
            case Index(of=of, index=Literal(type="integer", value=int() as index)):
                found.append(At(min(index, _INDEX_MAX)))
                rest = of
            case TypeOperation(operator="as", of=of, type=type):
                found.append(_of_type(type))
                rest = of
            case Call(of=of):
                found.extend(_called(rest))
                rest = of
            case _:
                raise Misstated(f"has a path with {_shown(rest)}, which leads to no place")
    return found


def _called(call: Call) -> list[Step]:
    match call.name, call.arguments:
        case "first", ():
            return [At(0)]
        case "last", ():
            return [Last()]
        case "where", (condition,):
            return [_where(condition)]
        case (("ofType" | "as"), (argument,)):
            return [_of_type(type_name(argument))]
        case "extension", (Literal(type="string") as url,):
            return [_where(Binary("=", Member(None, "url"), url)), Child("extension")]
        case _:
            raise Misstated(f"has a path with {_shown(call)}, which is not permitted in a patch")


def _of_type(name: str | None) -> OfType:
    type = known_type(name) if name is not None else None
    if type is None:
        raise Misstated("has a path that asks for a type that R4 does not have")
    return OfType(type)


def _where(condition: Syntax) -> Where:
    plain, terms = _plain(condition)
    return Where(compiled_syntax(plain), terms)


def _plain(syntax: Syntax) -> tuple[Syntax, int]:
    """The condition and its length. Raises Misstated when it reaches beyond the item."""
    match syntax:
        case Literal() | Empty() | This():
            return syntax, 1
        case Member(of=None, name=name) if not (name[:1].isupper() and is_type(name)):
            return syntax, 1
        case Member(of=of, name=name) if of is not None:
            plain, terms = _plain(of)
            return Member(plain, name), terms + 1
        case Index(of=of, index=Literal(type="integer") as index):
            plain, terms = _plain(of)
            return Index(plain, index), terms + 1
        case TypeOperation(operator=operator, of=of, type=type):
            plain, terms = _plain(of)
            return TypeOperation(operator, plain, type), terms + 1
        case Binary(operator=operator, left=left, right=right) if operator in _OPERATORS:
            (first, before), (second, after) = _plain(left), _plain(right)
            return Binary(operator, first, second), before + after + 1
        case Call():
            return _plain_call(syntax)
        case _:
            raise Misstated(f"has a condition with {_shown(syntax)}, which is not permitted in a patch")


def _plain_call(call: Call) -> tuple[Syntax, int]:
    of, terms = _plain(call.of) if call.of is not None else (This(), 1)
    match call.name, call.arguments:
        case "extension", (Literal(type="string") as url,):
            return Call(Member(of, "extension"), "where", (Binary("=", Member(None, "url"), url),)), terms + 4
        case (("ofType" | "as" | "is"), (_,)):
            return Call(of, call.name, call.arguments), terms + 1
        case name, arguments if name in _FUNCTIONS:
            plain = [_plain(argument) for argument in arguments]
            whole = Call(of, name, tuple(argument for argument, _ in plain))
            return whole, terms + 1 + sum(length for _, length in plain)
        case _:
            raise Misstated(f"has a condition with {_shown(call)}, which is not permitted in a patch")


_OPERATORS: Final = frozenset("= != < <= > >= and or xor implies in contains".split())
_FUNCTIONS: Final = frozenset(
    "all contains count empty endsWith exists first hasValue last not startsWith where".split()
)


def _shown(syntax: Syntax) -> str:
    """A part of a path by its name; never a value that stands in it."""
    match syntax:
        case Call(name=name):
            return f"the function `{name[:64]}`"
        case Binary(operator=operator) | Unary(operator=operator) | TypeOperation(operator=operator):
            return f"the operator `{operator}`"
        case Variable():
            return "a variable"
        case Index():
            return "a computed index"
        case Member(name=name):
            return f"`{name[:64]}`"
        case _:
            return "a constant"
