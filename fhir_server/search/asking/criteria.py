"""
One criterion of a search, `name:modifier=value,value`, as a predicate.

https://hl7.org/fhir/R4/search.html#parameters
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fhir_server.r4.errors import FhirError, Invalid, Unsupported
from fhir_server.r4.primitives import is_id
from fhir_server.search.asking.chains import asked, link_of, why_no_link
from fhir_server.search.asking.text import criterion as of_words
from fhir_server.search.asking.text import has_parameter
from fhir_server.search.declared.parameters import SUPPORTED_TYPES, Parameter, being_built, parameters_of
from fhir_server.search.predicates.predicate import (
    Elsewhere,
    Everything,
    InRange,
    Nothing,
    Predicate,
    ReferredTo,
    TokenPrefix,
    WithId,
    all_of,
    any_of,
    none_of,
    of_types,
)
from fhir_server.search.predicates.unions import implies_type, union
from fhir_server.search.values import composite, date, special
from fhir_server.search.values.by_type import CRITERIA, Criterion
from fhir_server.search.values.escaping import unescaped
from fhir_server.search.values.indexed_words import NO_WORDS, Indexed
from fhir_server.search.values.modifiers import refuse_modifier
from fhir_server.search.values.site import Site

_CRITERIA: Final[Mapping[str, Criterion]] = {
    **CRITERIA,
    "composite": composite.criterion,
    "special": special.criterion,
}

_NEGATIVE: Final[Mapping[str, str | None]] = {"not": None, "not-in": "not-in"}
"""What a token's modifier denies, as a modifier."""

UNSUPPORTED: Final = frozenset(("_filter", "_query"))
"""Parameters of R4 for all types that this server does not have, or not here."""


class Reasons:
    """
    Why criteria get no answer. Each name is judged once for the same types, since a chain without types
    leads to the same ones along many ways.
    """

    def __init__(self, indexed: Indexed) -> None:
        self._indexed = indexed
        self._known: dict[tuple[tuple[str, ...], str], FhirError | None] = {}

    def why_not(self, types: Iterable[str], name: str) -> FhirError | None:
        """
        Why a criterion of this name gets no answer for resources of all these types, whatever its value.

        Invalid is for what does not exist, Unsupported for what R4 has and this server has not,
        Unavailable for what is still being indexed.
        """
        asked = (tuple(types), name)
        if asked not in self._known:
            self._known[asked] = self._judged(*asked)
        return self._known[asked]

    def _judged(self, types: tuple[str, ...], name: str) -> FhirError | None:
        try:
            link = link_of(name)
        except Invalid as error:
            return error
        if link is not None:
            return why_no_link(link, types, self.why_not)
        code = name.partition(":")[0]
        if code == "_list":
            return None
        if has_parameter(types, code):
            return self._indexed.why_not(types, code)
        if code in UNSUPPORTED:
            return Unsupported(f"The search parameter `{code}` is not supported")
        for type in types:
            parameter = parameters_of(type).get(code)
            if parameter is None:
                if (building := being_built(type, code)) is not None:
                    return building
                return Invalid(f"`{name[:64]}` is not a search parameter of {_named(types)}")
            if not parameter.supported:
                return _unsupported(parameter)
        return None


def why_not(types: Iterable[str], name: str, indexed: Indexed = NO_WORDS) -> FhirError | None:
    """Why a criterion of this name gets no answer for resources of all these types: see Reasons."""
    return Reasons(indexed).why_not(types, name)


def _unsupported(parameter: Parameter) -> Unsupported:
    if parameter.type not in SUPPORTED_TYPES:
        kind = f"is a search parameter of type {parameter.type}, which is not supported"
        return Unsupported(f"`{parameter.code}` {kind}")
    return Unsupported(f"The search parameter `{parameter.code}` is not supported")


def _named(types: Sequence[str]) -> str:
    if len(types) > _TYPES_NAMED_MAX:
        return f"all {len(types)} types that are searched"
    return " and ".join(types)


def criterion(types: Sequence[str], name: str, values: Sequence[str], site: Site) -> Predicate:
    """
    The predicate for resources of `types`, which all have the parameter (`why_not` is None).

    `values` are what stood between the commas. Raises Invalid for a modifier or a value that
    the parameter has not.
    """
    if not all(values):
        raise Invalid(f"`{name}` has an empty value")
    reasons = Reasons(site.indexed).why_not

    def ask(of_types: Sequence[str], rest: str) -> Predicate:
        link = link_of(rest)
        if link is not None:
            return asked(link, tuple(of_types), ask, reasons)
        return _of_types(of_types, rest, values, site)

    return ask(types, name)


def _of_types(types: Sequence[str], name: str, values: Sequence[str], site: Site) -> Predicate:
    code, colon, modifier = name.partition(":")
    if colon and not modifier:
        raise Invalid(f"`{name}` has an empty modifier")
    match code:
        case "_id":
            return _ids(modifier, values)
        case "_lastUpdated":
            return _last_updated(code, modifier, values, site)
        case "_list":
            return _listed(modifier, values)
        case "_text" | "_content":
            if modifier:
                raise Invalid(f"The modifier `:{modifier[:64]}` of `{code}` is not supported; it has none")
            return of_words(types, code, values)
        case _:
            return union(
                among(types, type, _of_type(parameters_of(type)[code], modifier, values, site))
                for type in types
            )


def among(types: Sequence[str], type: str, asked: Predicate) -> Predicate:
    """What is asked of one type among several; what is not there says nothing of the others."""
    return (
        asked
        if len(types) == 1 or implies_type(asked, (type,))
        else all_of(of_types(frozenset((type,))), asked)
    )


def _listed(modifier: str, values: Sequence[str]) -> Predicate:
    """What is an item of a List; a current list by its name (`$current-problems`) is not known here."""
    if modifier:
        raise refuse_modifier("_list", modifier)
    lists = [unescaped(value) for value in values]
    if any(value.startswith("$") for value in lists):
        raise Unsupported("A value of `_list` is the id of a List: functional lists are not there")
    if not all(is_id(value) for value in lists):
        raise Invalid("A value of `_list` is not the id of a List")
    items = frozenset(parameters_of("List")["item"].found_as)
    return Elsewhere(ReferredTo("List", items, WithId(frozenset(lists))))


def _of_type(parameter: Parameter, modifier: str, values: Sequence[str], site: Site) -> Predicate:
    if parameter.name == "AuditEvent|date":
        # What the ledger records is recorded when it happens: its date is the version's time.
        return _last_updated(parameter.code, modifier, values, site)
    if modifier == "missing":
        present = union(_present(part) for part in parameter.parts())
        return none_of(present) if _is_true(parameter.code, values) else present
    if parameter.resource_type == "AuditEvent" and modifier in ("text", "of-type"):
        raise Unsupported(f"The modifier `:{modifier}` of `{parameter.code}` is not there for AuditEvents")
    ask = _CRITERIA[parameter.type]
    if modifier in _NEGATIVE and parameter.type == "token":
        # Of all parts together: not in one of them is not enough.
        return none_of(union(ask(part, _NEGATIVE[modifier], values, site) for part in parameter.parts()))
    return union(ask(part, modifier or None, values, site) for part in parameter.parts())


def _present(parameter: Parameter) -> Predicate:
    """There is a value: something to find it by, or the bare token that extraction leaves."""
    bare = TokenPrefix(f"{parameter.name}|")
    match parameter.type:
        case "date" | "number" | "quantity":
            return any_of(InRange(parameter.name), bare)
        case "composite" if composite.is_ranged(parameter):
            return any_of(composite.has_range(parameter), bare)
        case "reference":
            return any_of(bare, TokenPrefix(f"{parameter.name}:identifier|"))
        case _:
            return bare


def _ids(modifier: str, values: Sequence[str]) -> Predicate:
    """A resource always has an id."""
    if modifier == "missing":
        return Nothing() if _is_true("_id", values) else Everything()
    ids = frozenset(unescaped(value) for value in values)
    if not all(is_id(id) for id in ids):
        raise Invalid("A value of `_id` is not the id of a resource")
    match modifier:
        case "":
            return WithId(ids)
        case "not":
            return none_of(WithId(ids))
        case _:
            raise refuse_modifier("_id", modifier, "not", "missing")


def _last_updated(code: str, modifier: str, values: Sequence[str], site: Site) -> Predicate:
    """A version always has this time."""
    match modifier:
        case "":
            return any_of(*(date.updated(date.comparison(code, value, site.zone)) for value in values))
        case "missing":
            return Nothing() if _is_true(code, values) else Everything()
        case _:
            raise refuse_modifier(code, modifier, "missing")


def _is_true(code: str, values: Sequence[str]) -> bool:
    if len(values) != 1 or values[0] not in ("true", "false"):
        raise Invalid(f"`{code}:missing` is `true` or `false`")
    return values[0] == "true"


_TYPES_NAMED_MAX: Final = 5
"""In a refusal: more are counted."""
