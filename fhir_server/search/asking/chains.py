"""
Chains and `_has`: criteria about the resources at the other end of a reference.

`subject:Patient.name=peter` is about what a match refers to, `_has:Observation:patient:code=1` about
what refers to a match; both go on as long as a search may, and into each other. A name is taken
apart here, link by link; what its last link asks is a criterion like any other.

Where no type is said, a chain is about each type that the parameter may refer to and that has what
comes next. A link may lead by a canonical URL, to the resources that have it (canonical.py).

https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError, Invalid, Unavailable, Unsupported
from fhir_server.search.asking.includes import is_canonical, is_followed, targets_of
from fhir_server.search.declared.parameters import Parameter, being_built, parameters_of
from fhir_server.search.predicates.canonical import canonical_name
from fhir_server.search.predicates.predicate import (
    Elsewhere,
    Predicate,
    ReferredTo,
    Refers,
    all_of,
    any_of,
    of_types,
)

HAS: Final = "_has"
LOGGED: Final = "AuditEvent"
"""Is in the ledger, not among the resources of the store."""

WhyNot = Callable[[Iterable[str], str], FhirError | None]
"""Why resources of these types are not searched by a parameter of this name; None when they are."""

Ask = Callable[[tuple[str, ...], str], Predicate]
"""What a criterion of this name asks of resources of these types."""


class Chain(NamedTuple):
    """`subject:Patient.name`: the parameter, the type that is said (or None), and what is asked there."""

    code: str
    type: str | None
    rest: str


class Has(NamedTuple):
    """`_has:Observation:patient:code`: what refers, by which parameter, and what is asked of it."""

    type: str
    code: str
    rest: str


def link_of(name: str) -> Chain | Has | None:
    """The first link of a parameter's name; None for a name without any. Raises Invalid."""
    if name.partition(":")[0] == HAS:
        parts = name.split(":", 3)
        if len(parts) < 4 or not all(parts):
            raise Invalid(f"`{name}` is not `_has:[type]:[reference parameter]:[parameter]`")
        return Has(*parts[1:])
    if "." not in name:
        return None
    first, _, rest = name.partition(".")
    code, colon, type = first.partition(":")
    if not (code and rest) or (colon and not type):
        raise Invalid(f"`{name}` is not `[reference parameter]:[type].[parameter]`")
    return Chain(code, type or None, rest)


def why_no_link(link: Chain | Has, types: tuple[str, ...], why_not: WhyNot) -> FhirError | None:
    """Why the link does not lead from resources of `types` to anything that has what it asks."""
    if isinstance(link, Has):
        return _why_no_has(link, types, why_not)
    for type in types:
        parameter = parameters_of(type).get(link.code)
        if parameter is None or parameter.type != "reference":
            wrong = f"`{link.code[:64]}` is not a reference parameter of {type}"
            return being_built(type, link.code) or Invalid(wrong)
        if link.type is not None and link.type not in targets_of(parameter):
            return Invalid(f"`{link.code}` of {type} does not refer to {link.type[:64]}")
        if link.type == LOGGED:
            return Unsupported(f"AuditEvents are not searched along `{link.code}`")
        told = [why_not((target,), link.rest) for target in _ends(link, parameter)]
        if all(told):
            return next((each for each in told if isinstance(each, Unavailable)), told[0])
    return None


def _why_no_has(link: Has, types: tuple[str, ...], why_not: WhyNot) -> FhirError | None:
    if link.type not in definitions().resource_types:
        return Invalid(f"`{HAS}`: `{link.type[:64]}` is not a resource type of R4")
    parameter = parameters_of(link.type).get(link.code)
    if parameter is None or parameter.type != "reference":
        told = f"`{HAS}`: `{link.code[:64]}` is not a reference parameter of {link.type}"
        return being_built(link.type, link.code) or Invalid(told)
    strangers = [type for type in types if type not in targets_of(parameter)]
    if len(strangers) == len(types):
        return Invalid(f"`{HAS}`: `{link.code}` of {link.type} does not refer to {strangers[0]}")
    return why_not((link.type,), link.rest)


def asked(link: Chain | Has, types: tuple[str, ...], ask: Ask, why_not: WhyNot) -> Predicate:
    """What the link asks of resources of `types`, which it leads from."""
    if isinstance(link, Has):
        return _referred_to(link, types, ask((link.type,), link.rest))
    ends = ends_of(link, types)
    ends = tuple(end for end in ends if why_not((end,), link.rest) is None)
    return refers(link.code, types, ends, ask(ends, link.rest))


def refers(code: str, types: Iterable[str], ends: Iterable[str], of: Predicate) -> Predicate:
    """By this parameter of all of `types`, to resources of `ends` for which `of` is true."""
    parameters = [parameters_of(type)[code] for type in types]
    names = frozenset(name for each in parameters if is_followed(each) for name in each.found_as)
    canonical = frozenset(name for each in parameters if is_canonical(each) for name in each.found_as)
    asked = []
    if names:
        asked.append(Elsewhere(Refers(names, frozenset(ends), of)))
    if canonical:
        asked.append(Elsewhere(Refers(frozenset(map(canonical_name, canonical)), frozenset(ends), of)))
    return any_of(*asked)


def _referred_to(link: Has, types: tuple[str, ...], of: Predicate) -> Predicate:
    parameter = parameters_of(link.type)[link.code]
    if not is_canonical(parameter):
        return Elsewhere(ReferredTo(link.type, frozenset(parameter.found_as), of))
    asked = Elsewhere(ReferredTo(link.type, frozenset(map(canonical_name, parameter.found_as)), of))
    targets = targets_of(parameter)
    # A URL does not say the type, as a reference does.
    return asked if targets.issuperset(types) else all_of(of_types(targets.intersection(types)), asked)


def ends_of(link: Chain, types: Iterable[str]) -> tuple[str, ...]:
    """
    The types that the link leads to, from all of `types` together.

    Together, since each step of a chain may lead to any type: were they asked about one by one, a chain of
    five would be asked in 146 to the power of five ways.
    """
    return tuple(sorted({end for type in types for end in _ends(link, parameters_of(type)[link.code])}))


def _ends(link: Chain, parameter: Parameter) -> tuple[str, ...]:
    return (link.type,) if link.type is not None else tuple(sorted(targets_of(parameter) - {LOGGED}))
