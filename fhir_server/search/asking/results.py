"""
Parameters that shape the answer instead of choosing resources: order, page, total; includes.py has its own.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import FhirError, Invalid, TooCostly, Unsupported
from fhir_server.search.asking.chains import LOGGED, Chain, Has, ends_of, link_of, why_no_link
from fhir_server.search.asking.includes import INCLUDES, ITERATE, is_followed
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.declared.parameters import being_built, parameters_of
from fhir_server.search.indexing.clinical_dates import CLINICAL_DATES
from fhir_server.search.predicates.predicate import Everything, Predicate

Total = Literal["none", "estimate", "accurate"]
WhichContained = Literal["false", "true", "both"]
ContainedType = Literal["container", "contained"]

RESULT_PARAMETERS: Final = frozenset(
    (
        "_contained",
        "_containedType",
        "_count",
        "_cursor",
        "_elements",
        "_format",
        "_include",
        "_pretty",
        "_revinclude",
        "_score",
        "_sort",
        "_summary",
        "_total",
        "_type",
    )
)


@dataclass(frozen=True, slots=True)
class SortKey:
    """
    One key of an order.

    `sequence` is the order of first creation, the default; `updated` meta.lastUpdated;
    `clinical_date` that of the entry; `parameter` the search parameter of this code, or `_id`;
    `chained` what the reference parameter of this code leads to, by the key `end` of its own.
    """

    kind: Literal["sequence", "updated", "clinical_date", "parameter", "chained"]
    parameter: str | None = None
    descending: bool = False
    end: End | None = None


@dataclass(frozen=True, slots=True)
class End:
    """
    Where a chained key leads: the names of its references (`Type|param`), the types that are meant, the key
    there, and `of`, true of those that may be looked at (pipeline/settling.py says which).
    """

    names: frozenset[str]
    types: frozenset[str]
    key: SortKey
    of: Predicate = field(default_factory=Everything)


def refuse_unsupported(name: str, value: str) -> None:
    """Raises Invalid or Unsupported for a result parameter, or a value of it, that is not there."""
    code, colon, modifier = name.partition(":")
    if colon and not (code in INCLUDES and modifier == ITERATE):
        raise Invalid(f"The modifier `:{modifier[:64]}` of `{code}` is not supported; it has none here")
    if not value:
        raise Invalid(f"`{name}` has an empty value")
    if name == "_score":
        raise Unsupported("`_score` is not supported")


def contained_of(given: Mapping[str, str]) -> tuple[WhichContained, ContainedType]:
    """`_contained` and `_containedType`. Raises Invalid for what R4 does not have."""
    which = _WHICH_CONTAINED.get(given.get("_contained", "false"))
    if which is None:
        raise Invalid("`_contained` is `false`, `true` or `both`")
    shown = _CONTAINED_TYPES.get(given.get("_containedType", "container"))
    if shown is None:
        raise Invalid("`_containedType` is `container` or `contained`")
    return which, shown


def count_of(given: Mapping[str, str], limits: SearchLimits) -> int:
    """Matches on a page: more than the limit is the limit, 0 is none but the total."""
    if given.get("_summary") == "count":
        return 0
    text = given.get("_count")
    if text is None:
        return limits.page_size_default
    if not _DIGITS.fullmatch(text):
        raise Invalid("`_count` is a number, 0 or more")
    return min(int(text[:18]), limits.page_size_max)


def total_of(given: Mapping[str, str], count: int) -> Total:
    """`_total`; who wants no matches wants to know how many there are."""
    wanted = given.get("_total", "none")
    if wanted not in get_args(Total):
        raise Invalid("`_total` is `none`, `estimate` or `accurate`")
    if wanted == "estimate":
        return "estimate"
    return "accurate" if count == 0 or wanted == "accurate" else "none"


def order_of(sort: str | None, types: tuple[str, ...], limits: SearchLimits) -> tuple[SortKey, ...]:
    """`_sort`, by default the order of creation."""
    if sort is None:
        return (SortKey("sequence"),)
    rules = sort.split(",")
    for rule in rules:
        limits.refuse_links(rule)
    if len(rules) > limits.sort_keys_max:
        raise TooCostly(f"`_sort` has more than {limits.sort_keys_max} keys")
    key_of = _Keys().key_of
    return tuple(key_of(rule.removeprefix("-"), types, descending=rule.startswith("-")) for rule in rules)


class _Keys:
    """
    Makes the keys of one order. Each name is judged once for the same types, since a chain without types
    leads to the same ones along many ways.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[str, ...], bool], SortKey | FhirError] = {}

    def key_of(self, code: str, types: tuple[str, ...], *, descending: bool) -> SortKey:
        """Raises Invalid and Unsupported for what types cannot be ordered by."""
        asked = code, types, descending
        if asked not in self._known:
            try:
                self._known[asked] = self._made(code, types, descending=descending)
            except (Invalid, Unsupported) as refusal:
                self._known[asked] = refusal
        found = self._known[asked]
        if isinstance(found, FhirError):
            raise found
        return found

    def _made(self, code: str, types: tuple[str, ...], *, descending: bool) -> SortKey:
        link = link_of(code)
        if link is not None:
            return self._chained(link, types, descending=descending)
        if code == "_lastUpdated" or (code == "date" and types == ("AuditEvent",)):
            return SortKey("updated", descending=descending)
        if code == "_id":
            return SortKey("parameter", code, descending)
        for type in types or tuple(definitions().resource_types):
            parameter = parameters_of(type).get(code)
            if parameter is None:
                told = f"`_sort`: `{code[:64]}` is not a search parameter of {type}"
                raise being_built(type, code) or Invalid(told)
            if not parameter.supported or parameter.type in ("composite", "special"):
                raise Unsupported(f"`_sort`: `{code}` is not supported")
        if types and all(CLINICAL_DATES.get(type) == code for type in types):
            return SortKey("clinical_date", code, descending)
        return SortKey("parameter", code, descending)

    def _chained(self, link: Chain | Has, types: tuple[str, ...], *, descending: bool) -> SortKey:
        """By what a reference leads to, in the types that can be sorted so."""
        if isinstance(link, Has):
            raise Invalid("`_sort` follows references forwards: `_has` is no key of an order")
        if not types or LOGGED in types:
            raise Unsupported(
                f"`_sort`: `{link.code[:64]}` can be followed in a search of types of the store alone"
            )
        if refusal := why_no_link(link, types, lambda _types, _name: None):
            raise refusal
        followed = [parameters_of(type)[link.code] for type in types]
        if not all(map(is_followed, followed)):
            raise Unsupported(f"`_sort`: `{link.code}` is a canonical URL, and does not lead to one resource")
        names = frozenset(name for each in followed for name in each.found_as)
        keys: dict[SortKey, set[str]] = {}
        refusals: list[FhirError] = []
        for end in ends_of(link, types):
            try:
                keys.setdefault(self.key_of(link.rest, (end,), descending=descending), set()).add(end)
            except (Invalid, Unsupported) as refused:
                refusals.append(refused)
        if not keys:
            raise refusals[0]
        if len(keys) > 1:
            told = f"`{link.code}` leads to several types that are not ordered alike: name one"
            raise Invalid(f"`_sort`: {told}")
        [(key, ends)] = keys.items()
        return SortKey("chained", link.code, descending, End(names, frozenset(ends), key))


_DIGITS: Final = re.compile(r"[0-9]+")
_WHICH_CONTAINED: Final[Mapping[str, WhichContained]] = {"false": "false", "true": "true", "both": "both"}
_CONTAINED_TYPES: Final[Mapping[str, ContainedType]] = {"container": "container", "contained": "contained"}
