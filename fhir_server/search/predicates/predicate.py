"""
A predicate is a question about one stored version, asked of its index entry alone.

Searches, scopes, policies and consents all speak this one small language. The store compiles
it to a MongoDB filter (store/filters.py), `matching.py` answers it in plain Python, and a
property test holds that the two agree. Build with `all_of`, `any_of` and `none_of`, which
simplify; match with `match`, so that a new node is a type error wherever it is forgotten;
`rewriting.py` walks the tree.

What cannot be asked of one entry is `Elsewhere`: a question about other resources. It is settled
first, within what the caller may see of those (pipeline/terms.py for what codes mean, then
pipeline/settling.py), and a store never meets it. One of them, `Unqualified`, does not leave `parse`: it
becomes tokens there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from fhir_server.r4.resource import Key
from fhir_server.search.predicates.entry import Bound, Point


@dataclass(frozen=True, slots=True)
class Everything:
    """True of each version."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """True of none."""


@dataclass(frozen=True, slots=True)
class AnyToken:
    """The entry has one of these tokens."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class TokenPrefix:
    """The entry has a token that starts so."""

    prefix: str


@dataclass(frozen=True, slots=True)
class TokenBetween:
    """The entry has a token that is at least `low` and less than `below`, in the order of code points."""

    low: str
    below: str


@dataclass(frozen=True, slots=True)
class TokenContaining:
    """
    The entry has a token that starts with `start`, a name's `Type|param|`, and has `text` somewhere
    after it, `text` being escaped (entry.py).
    """

    start: str
    text: str


@dataclass(frozen=True, slots=True)
class AnyWord:
    """The entry has one of these words."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class WordPrefix:
    """The entry has a word that starts with one of these."""

    prefixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class InRange:
    """
    The entry has one range of this parameter (`Type|param`) within the bounds, and in `unit`.

    A range is closed: [low, high], as Range says. All bounds are inclusive and hold of the same
    range; None does not bound. With `is_prefix` the parameter's name starts so.
    """

    parameter: str
    low_min: Bound | None = None
    low_max: Bound | None = None
    high_min: Bound | None = None
    high_max: Bound | None = None
    unit: str | None = None
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class RangePrefix:
    """The entry has a range of a parameter whose name starts so."""

    prefix: str


@dataclass(frozen=True, slots=True)
class OfPatients:
    """The entry is in the compartment of one of these patients (ids without `Patient/`)."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class OnlyOfPatients:
    """Each patient whose compartment the entry is in is one of these; true when there is none."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class WithId:
    """The logical id is one of these, whatever the type."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class WithKey:
    """It is one of these resources: `Type/id`."""

    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Updated:
    """meta.lastUpdated lies within [start, end); None does not bound."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """The entry has a point within `metres` of this one, along the great circle."""

    point: Point
    metres: float


@dataclass(frozen=True, slots=True)
class Containing:
    """
    The entry has a contained resource for which `of` is true, and to which it refers under one of `names`
    (`Type|param`); without names it need not refer to it.

    `of` asks nothing of other resources, nor of time or patients: build it with containing.py.
    """

    of: Predicate
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class And:
    """Each part is true."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part is true."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is not true."""

    part: Predicate


@dataclass(frozen=True, slots=True)
class Refers:
    """
    The entry refers, by a parameter that is found under one of `names` (`Type|param`), to a living
    resource of `types` for which `of` is true. By canonical URL where all of the names say so (canonical.py).
    """

    names: frozenset[str]
    types: frozenset[str]
    of: Predicate


@dataclass(frozen=True, slots=True)
class ReferredTo:
    """A living resource of `type` for which `of` is true refers to it under one of `names`."""

    type: str
    names: frozenset[str]
    of: Predicate


Relation = Literal["in", "below", "above"]


@dataclass(frozen=True, slots=True)
class Coded:
    """
    The entry has under `name` (`Type|param`) a code that is in the value set `of` (a canonical, or
    `ValueSet/id`), or that the code `of` (`(system, code)`) subsumes or is subsumed by, itself included.

    `asked_as` is the parameter with its modifier, as refusals name it. `systems` are those of an
    element of type code, with the codes its binding allows; None where codes stand beside their system.
    """

    name: str
    relation: Relation
    of: str | tuple[str, str]
    asked_as: str
    systems: tuple[tuple[str, frozenset[str]], ...] | None = None


@dataclass(frozen=True, slots=True)
class Unqualified:
    """
    The entry has one of `tokens`, some of which name resources by an id without a type.

    `meant` are the keys that each such id may stand for, and the search is refused when several of them are
    there; `asked_as` is the parameter.
    """

    asked_as: str
    tokens: frozenset[str]
    meant: frozenset[frozenset[Key]]


Question = Refers | ReferredTo | Coded | Unqualified


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What has to be asked of other resources first."""

    question: Question


Predicate = (
    Everything
    | Nothing
    | AnyToken
    | TokenPrefix
    | TokenBetween
    | TokenContaining
    | AnyWord
    | WordPrefix
    | InRange
    | RangePrefix
    | OfPatients
    | OnlyOfPatients
    | WithId
    | WithKey
    | Updated
    | Near
    | Containing
    | And
    | Or
    | Not
    | Elsewhere
)


def token(value: str) -> AnyToken:
    """The entry has this token."""
    return AnyToken(frozenset((value,)))


def beyond(prefix: str) -> str:
    """The least text behind all that start with `prefix`, in the order of code points; it is not empty."""
    text = prefix.rstrip(_LAST_CHARACTER)
    assert text, "prefixes begin with the name of a type"
    code = ord(text[-1]) + 1
    # Surrogates are no characters: what comes after U+D7FF is U+E000.
    return text[:-1] + chr(0xE000 if code == 0xD800 else code)


def of_types(types: frozenset[str]) -> AnyToken:
    """The resource is of one of these types: each entry has its type's name as a token."""
    return AnyToken(types)


def all_of(*parts: Predicate) -> Predicate:
    """And, without what says nothing."""
    flat: list[Predicate] = []
    for part in parts:
        match part:
            case Everything():
                continue
            case Nothing():
                return part
            case And(parts=inner):
                flat.extend(inner)
            case _:
                flat.append(part)
    if not flat:
        return Everything()
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(*parts: Predicate) -> Predicate:
    """Or, without what says nothing."""
    flat: list[Predicate] = []
    for part in parts:
        match part:
            case Nothing():
                continue
            case Everything():
                return part
            case Or(parts=inner):
                flat.extend(inner)
            case _:
                flat.append(part)
    if not flat:
        return Nothing()
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def none_of(part: Predicate) -> Predicate:
    """Not, pushed over the trivial cases."""
    match part:
        case Everything():
            return Nothing()
        case Nothing():
            return Everything()
        case Not(part=inner):
            return inner
        case _:
            return Not(part)


_LAST_CHARACTER: Final = "\U0010ffff"
