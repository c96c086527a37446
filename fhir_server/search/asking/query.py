"""
From search parameters as they were sent to a question that a store can answer.

Nothing is guessed: an unknown parameter, modifier or prefix and a malformed value are refused by
name. Under `Prefer: handling=lenient` parameters that are unknown or not supported are left out
and listed in `ignored`; a known parameter with a bad value is refused all the same. What was
really used is in `used`, for the self link.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from fhir_server.r4.compartments import types_in, why_not_searched
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Invalid, TooCostly, Unavailable, Unsupported
from fhir_server.r4.interaction import Parameters, Search
from fhir_server.r4.resource import Key
from fhir_server.r4.shaping import WHOLE, Shape, shape_of
from fhir_server.search.asking.contained import refuse_beside_contained
from fhir_server.search.asking.criteria import criterion, why_not
from fhir_server.search.asking.filter_criteria import FILTER, filtered
from fhir_server.search.asking.history import HistoryQuery, parse_history
from fhir_server.search.asking.includes import INCLUDES, Include, includes_of
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.results import (
    RESULT_PARAMETERS,
    ContainedType,
    SortKey,
    Total,
    WhichContained,
    contained_of,
    count_of,
    order_of,
    refuse_unsupported,
    total_of,
)
from fhir_server.search.asking.text import asks_for_words, weight_of
from fhir_server.search.asking.unqualified import of_any_type, unqualified_in
from fhir_server.search.asking.window import window_of
from fhir_server.search.declared.parameters import SUPPORTED_TYPES
from fhir_server.search.indexing.clinical_dates import CLINICAL_DATES
from fhir_server.search.predicates.compartments import in_compartment
from fhir_server.search.predicates.predicate import Predicate, Unqualified, all_of, of_types
from fhir_server.search.predicates.unions import implies_type
from fhir_server.search.values.escaping import split
from fhir_server.search.values.indexed_words import NO_WORDS, Indexed
from fhir_server.search.values.site import Site

__all__ = [
    "SUPPORTED_TYPES",
    "HistoryQuery",
    "Include",
    "Query",
    "SearchLimits",
    "SortKey",
    "Total",
    "parse",
    "parse_history",
]


@dataclass(frozen=True, slots=True)
class Query:
    """
    A search, understood.

    `types` are those searched, none for all; in a compartment they are always named. `predicate`
    says everything that a match must fulfil, its type and compartment included; `unqualified` are the ids
    in it that are said without a type where there may be several. `count` is how many
    matches make a page; 0 asks for the total alone. `used` leaves `_cursor` out; `cursor` is what the
    store gave out for the next page. With `contained` other than `false` what matches `predicate` may be
    contained in something else, which is shown as a whole or, by `contained_type`, without what is around it.
    """

    types: tuple[str, ...]
    predicate: Predicate
    order: tuple[SortKey, ...]
    count: int
    total: Total
    includes: tuple[Include, ...]
    used: Parameters
    ignored: tuple[str, ...]
    cursor: str | None
    shape: Shape = WHOLE
    contained: WhichContained = "false"
    contained_type: ContainedType = "container"
    unqualified: tuple[Unqualified, ...] = ()


def parse(
    search: Search,
    *,
    limits: SearchLimits,
    base_url: str = "",
    zone: tzinfo = UTC,
    indexed: Indexed = NO_WORDS,
) -> Query:
    """
    What `search` asks for; `base_url` is ours, and a date without a zone is in `zone`; what can be
    asked of words says `indexed`.

    Raises Invalid for what cannot be understood, Unsupported for what R4 defines and this
    server has not, TooCostly and TooLarge beyond `limits`.
    """
    limits.refuse_excess(search.parameters)
    lenient = search.handling == "lenient"
    types = _types(search)
    criteria, results, ignored = _sorted_out(search.parameters, types, limits, indexed, lenient=lenient)
    given = _once(results)
    shape, misshapen = _shape(given, types, lenient=lenient)
    ignored += misshapen
    given = {name: value for name, value in given.items() if name not in misshapen}
    count = count_of(given, limits)
    asked = _asked(criteria, types, limits, Site(base_url, zone, indexed))
    predicate = _predicate(search.compartment, map(of_any_type, asked), types, limits)
    contained, contained_type = contained_of(given)
    if contained != "false":
        refuse_beside_contained(search, given, types, count)
    return Query(
        types=types,
        predicate=predicate,
        order=order_of(_sort(given, predicate, types, contained), types, limits),
        count=count,
        total=total_of(given, count),
        includes=includes_of(_includes(results), types, limits),
        used=tuple(_used(search.parameters, ignored, count)),
        ignored=ignored,
        cursor=given.get("_cursor"),
        shape=shape,
        contained=contained,
        contained_type=contained_type,
        unqualified=tuple(dict.fromkeys(unqualified_in(all_of(*asked)))),
    )


def _sort(
    given: Mapping[str, str], predicate: Predicate, types: tuple[str, ...], contained: WhichContained
) -> str | None:
    """What is searched by its clinical date comes by it, latest first, unless another order is asked for."""
    if "_sort" in given or contained != "false" or window_of(predicate, types) is None:
        return given.get("_sort")
    return f"-{CLINICAL_DATES[types[0]]}"


def _shape(
    given: Mapping[str, str], types: tuple[str, ...], *, lenient: bool
) -> tuple[Shape, tuple[str, ...]]:
    """How much of each match is shown, and the parameters that a lenient client loses over it."""
    try:
        shape = shape_of(given, types)
    except Invalid:
        if lenient:
            return WHOLE, tuple(name for name in ("_elements", "_summary") if name in given)
        raise
    if shape.summary == "text" and _includes(tuple(given.items())):
        raise Invalid("`_summary=text` excludes `_include` and `_revinclude`")
    return shape, ()


def _types(search: Search) -> tuple[str, ...]:
    listed = [value for name, value in search.parameters if name == "_type"]
    if search.type is not None:
        if listed:
            raise Invalid("`_type` is for searches over several types, at the base URL")
        return (search.type,)
    types = tuple(dict.fromkeys(type for value in listed for type in value.split(",")))
    unknown = [type for type in types if type not in definitions().resource_types]
    if unknown:
        raise Invalid(f"`_type`: `{unknown[0][:64]}` is not a resource type of R4")
    if search.compartment is not None:
        types = _types_in(search.compartment, types)
    if "AuditEvent" in types and len(types) > 1:
        raise Unsupported("AuditEvents are searched on their own, not with other types")
    return types


def _types_in(compartment: Key, listed: tuple[str, ...]) -> tuple[str, ...]:
    """Those listed, or all that can be in the compartment and are searched together."""
    for type in listed:
        if told := why_not_searched(compartment.type, type):
            raise Invalid(f"`_type`: {told}")
    return listed or tuple(sorted(types_in(compartment.type) - {"AuditEvent"}))


def _sorted_out(
    parameters: Parameters,
    types: tuple[str, ...],
    limits: SearchLimits,
    indexed: Indexed,
    *,
    lenient: bool,
) -> tuple[Parameters, Parameters, tuple[str, ...]]:
    """Criteria, result parameters, and the names that are ignored."""
    searched = types or tuple(sorted(definitions().resource_types))
    criteria, results, ignored = [], [], []
    for name, value in parameters:
        limits.refuse_links(name)
        if name.partition(":")[0] in RESULT_PARAMETERS:
            results.append((name, value))
        elif name == FILTER or (refusal := why_not(searched, name, indexed)) is None:
            criteria.append((name, value))
        elif lenient and not isinstance(refusal, Unavailable):
            ignored.append(name)
        else:
            raise refusal
    return tuple(criteria), tuple(results), tuple(dict.fromkeys(ignored))


def _once(results: Parameters) -> Mapping[str, str]:
    """The result parameters that may be given once, by name."""
    given: dict[str, str] = {}
    for name, value in results:
        refuse_unsupported(name, value)
        if name in given and name.partition(":")[0] not in INCLUDES:
            raise Invalid(f"`{name}` is given more than once")
        given[name] = value
    return given


def _includes(results: Parameters) -> Parameters:
    return tuple((name, value) for name, value in results if name.partition(":")[0] in INCLUDES)


def _predicate(
    compartment: Key | None, asked: Iterable[Predicate], types: tuple[str, ...], limits: SearchLimits
) -> Predicate:
    parts: list[Predicate] = [] if compartment is None else [in_compartment(compartment, types)]
    parts += asked
    limits.refuse_questions(all_of(*parts))
    if types and not any(implies_type(part, types) for part in parts):
        parts.insert(0, of_types(frozenset(types)))
    return all_of(*parts)


def _asked(criteria: Parameters, types: tuple[str, ...], limits: SearchLimits, site: Site) -> list[Predicate]:
    """What each of the criteria asks."""
    searched = types or tuple(sorted(definitions().resource_types))
    parts: list[Predicate] = []
    values_count = 0
    for name, value in criteria:
        values = [value] if name == FILTER else split(value, ",")
        values_count += weight_of(values) if asks_for_words(name) else len(values)
        if values_count > limits.values_max:
            raise TooCostly(f"The search has more than {limits.values_max} values")
        limits.refuse_values(name, values)
        ask = (
            filtered(searched, value, site, limits)
            if name == FILTER
            else criterion(searched, name, values, site)
        )
        parts.append(ask)
    return parts


def _used(parameters: Parameters, ignored: Sequence[str], count: int) -> list[tuple[str, str]]:
    return [
        (name, str(count) if name == "_count" else value)
        for name, value in parameters
        if name not in ignored and name != "_cursor"
    ]
