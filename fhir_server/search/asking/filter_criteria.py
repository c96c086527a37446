"""
`_filter` as a predicate.

A comparison is asked of the set of values that its path leads to, as R4's table of operations says for each
type of parameter: it is true when some value of the set fulfils it. `pr false` and `ni` are of all
of them. What an operation does not exist for is refused by name.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.r4.errors import FhirError, Invalid, Unsupported
from fhir_server.search.asking.chains import Chain, ends_of, refers
from fhir_server.search.asking.criteria import Reasons, among, criterion
from fhir_server.search.asking.filter_syntax import (
    Comparison,
    Filter,
    Joined,
    Negated,
    Operator,
    Step,
    parsed,
)
from fhir_server.search.asking.limits import SearchLimits
from fhir_server.search.asking.text import asks_for_words
from fhir_server.search.declared.parameters import Parameter, parameters_of
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import (
    InRange,
    Predicate,
    TokenPrefix,
    all_of,
    any_of,
    none_of,
    of_types,
)
from fhir_server.search.predicates.unions import union
from fhir_server.search.values import date, string
from fhir_server.search.values.escaping import split, written
from fhir_server.search.values.site import Site

FILTER: Final = "_filter"

_ORDERED: Final = frozenset(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))
_CODED: Final[Mapping[str, str]] = {"ss": "below", "sb": "above", "in": "in"}
"""The modifier that says the same: what a value subsumes is below it."""

_SYSTEMS: Final[Mapping[str, str]] = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
"""What R4 lets a filter say in place of a code system."""

_STRINGS: Final[Mapping[str, tuple[Callable[[Parameter, str], Predicate], ...]]] = {
    "eq": (string.equal,),
    "ne": (string.unequal,),
    "ew": (string.ending,),
    "gt": (string.greater,),
    "lt": (string.less,),
    "ge": (string.equal, string.greater),
    "le": (string.equal, string.less),
}
"""What a string may be, one of these."""


@dataclass(frozen=True, slots=True)
class _Group:
    """`relatesTo[code eq x].target`: two parts of one element, found by the composite that joins them."""

    composite: str
    first: str
    second: str


_GROUPS: Final[Mapping[tuple[str, str], _Group]] = {
    ("Group", "characteristic"): _Group("characteristic-value", "code", "value"),
    ("DocumentReference", "relatesTo"): _Group("relationship", "code", "target"),
}


def filtered(types: tuple[str, ...], text: str, site: Site, limits: SearchLimits) -> Predicate:
    """The predicate for resources of `types`. Raises Invalid, Unsupported and TooCostly."""
    return _Compiling(site, limits).of(parsed(text), types)


class _Compiling:
    """Compiles one filter; what is found out about names on the way is kept."""

    def __init__(self, site: Site, limits: SearchLimits) -> None:
        self._site = site
        self._limits = limits
        self._why_not = Reasons(site.indexed).why_not
        self._known: dict[tuple[Filter, tuple[str, ...]], Predicate | FhirError] = {}

    def of(self, filter: Filter, types: tuple[str, ...]) -> Predicate:
        """
        Compiled once for the same types: brackets within brackets lead to the same ones along many ways.
        """
        asked = filter, types
        if asked not in self._known:
            try:
                self._known[asked] = self._compiled(filter, types)
            except (Invalid, Unsupported) as refusal:
                self._known[asked] = refusal
        found = self._known[asked]
        if isinstance(found, FhirError):
            raise found
        return found

    def _compiled(self, filter: Filter, types: tuple[str, ...]) -> Predicate:
        match filter:
            case Negated(filter=inner):
                return none_of(self.of(inner, types))
            case Joined(left=left, word=word, right=right):
                both = self.of(left, types), self.of(right, types)
                return all_of(*both) if word == "and" else any_of(*both)
            case Comparison(path=path, operator=operator, value=value):
                if operator == "pr":
                    return self._present(path, types, value)
                if operator == "ni":
                    return none_of(self._path(path, types, "in", value))
                return self._path(path, types, operator, value)

    def _present(self, path: tuple[Step, ...], types: tuple[str, ...], value: str) -> Predicate:
        if value not in ("true", "false"):
            raise Invalid("`_filter`: the value of `pr` is `true` or `false`")
        there = self._path(path, types, "pr", value)
        return there if value == "true" else none_of(there)

    def _path(
        self, path: tuple[Step, ...], types: tuple[str, ...], operator: Operator, value: str
    ) -> Predicate:
        step, *rest = path
        if rest and step.filter is not None and all((type, step.name) in _GROUPS for type in types):
            return any_of(*(self._grouped(path, type, operator, value) for type in types))
        if not rest:
            return self._each(types, lambda one: self._test(one, step.name, operator, value))
        following = ".".join(one.name for one in rest)
        self._limits.refuse_links(f"{step.name}.{following}")
        link = Chain(step.name, None, following)
        refusal = self._why_not(types, f"{step.name}.{following}")
        if refusal is not None:
            raise refusal
        ends = tuple(end for end in ends_of(link, types) if self._why_not((end,), following) is None)
        if step.filter is not None:
            ends = self._having(step.filter, ends)
        of = self._path(tuple(rest), ends, operator, value)
        if step.filter is not None:
            of = all_of(of, self.of(step.filter, ends))
        return refers(step.name, types, ends, of)

    def _having(self, filter: Filter, types: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `types` that it can be asked of; raises what the first one refuses when there is none."""
        having: list[str] = []
        refusals: list[FhirError] = []
        for type in types:
            try:
                self.of(filter, (type,))
                having.append(type)
            except (Invalid, Unsupported) as refusal:
                refusals.append(refusal)
        if refusals and not having:
            raise refusals[0]
        return tuple(having)

    def _each(self, types: tuple[str, ...], ask: Callable[[str], Predicate]) -> Predicate:
        """Of each type that it can be asked of; raises what the first one refuses when there is none."""
        parts: list[Predicate] = []
        refusals: list[FhirError] = []
        for type in types:
            try:
                parts.append(among(types, type, ask(type)))
            except (Invalid, Unsupported) as refusal:
                refusals.append(refusal)
        if refusals and not parts:
            raise refusals[0]
        return union(parts)

    def _test(self, type: str, name: str, operator: Operator, value: str) -> Predicate:
        if asks_for_words(name):
            raise Unsupported(f"`_filter` asks for no words: say `{name}` beside it")
        refusal = self._why_not((type,), name)
        if refusal is not None:
            raise refusal
        if operator == "pr":
            return criterion((type,), f"{name}:missing", ["false"], self._site)
        if name in ("_id", "_lastUpdated"):
            return self._of_each_resource(type, name, operator, value)
        return self._compared(parameters_of(type)[name], operator, value)

    def _of_each_resource(self, type: str, name: str, operator: Operator, value: str) -> Predicate:
        if name == "_id" and operator in ("eq", "ne"):
            same = criterion((type,), name, [written(value)], self._site)
            return same if operator == "eq" else all_of(of_types(frozenset((type,))), none_of(same))
        if name == "_lastUpdated" and operator in _ORDERED:
            return criterion((type,), name, [f"{operator}{written(value)}"], self._site)
        raise _refused(name, operator)

    def _compared(self, parameter: Parameter, operator: Operator, value: str) -> Predicate:
        match parameter.type:
            case "string":
                return self._string(parameter, operator, written(value))
            case "number" | "quantity" | "date" if operator in _ORDERED:
                return self._ask(parameter, f"{operator}{_with_system(value)}")
            case "date" if operator in ("po", "co"):
                return self._period(parameter, operator, value)
            case "token" if operator in ("eq", "ne"):
                return self._other(parameter, _with_system(value), same=operator == "eq")
            case "token" if operator in _CODED:
                return self._ask(parameter, _with_system(value), _CODED[operator])
            case "reference" if operator == "re":
                return self._ask(parameter, written(value))
            case "uri" if operator in ("eq", "ne"):
                return self._other(parameter, written(value), same=operator == "eq")
            case "uri" if operator == "sw":
                return any_of(*(TokenPrefix(f"{part.name}|{escape(value)}") for part in parameter.parts()))
            case _:
                raise _refused(parameter.code, operator)

    def _string(self, parameter: Parameter, operator: Operator, value: str) -> Predicate:
        match operator:
            case "sw":
                return any_of(*(string.starting(part, value) for part in parameter.parts()))
            case "co":
                return self._ask(parameter, value, "contains")
            case _ if operator in _STRINGS:
                alike = _STRINGS[operator]
                return any_of(*(ask(part, value) for part in parameter.parts() for ask in alike))
            case _:
                raise _refused(parameter.code, operator)

    def _period(self, parameter: Parameter, operator: Operator, value: str) -> Predicate:
        _, low, high = date.comparison(parameter.code, f"eq{written(value)}", self._site.zone)
        if operator == "co":
            low, high = high, low
        return any_of(*(InRange(part.name, low_max=high, high_min=low) for part in parameter.parts()))

    def _other(self, parameter: Parameter, value: str, *, same: bool) -> Predicate:
        """It is this; or there is something, and it is not."""
        found = self._ask(parameter, value)
        return found if same else all_of(self._ask(parameter, "false", "missing"), none_of(found))

    def _ask(self, parameter: Parameter, value: str, modifier: str | None = None) -> Predicate:
        name = parameter.code if modifier is None else f"{parameter.code}:{modifier}"
        return criterion((parameter.resource_type,), name, [value], self._site)

    def _grouped(self, path: tuple[Step, ...], type: str, operator: Operator, value: str) -> Predicate:
        group = _GROUPS[type, path[0].name]
        inner = path[0].filter
        names = {group.first, group.second}
        if not (isinstance(inner, Comparison) and len(inner.path) == 1 and len(path) == 2):
            raise Invalid(
                f"`_filter`: `{path[0].name}` takes one comparison in brackets, and one name behind it"
            )
        said = {inner.path[0].name: inner, path[1].name: Comparison(path[1:], operator, value)}
        if said.keys() != names or any(test.operator not in ("eq", "re") for test in said.values()):
            raise Invalid(
                f"`_filter`: `{path[0].name}` compares `{group.first}` and `{group.second}` by `eq` or `re`"
            )
        parts = [_with_system(said[name].value).replace("$", "\\$") for name in (group.first, group.second)]
        return criterion((type,), group.composite, ["$".join(parts)], self._site)


def _with_system(value: str) -> str:
    """The value with the code system that a short name stands for."""
    system, bar, rest = value.partition("|")
    if bar and system in _SYSTEMS:
        return f"{_SYSTEMS[system]}|{rest}"
    # A quantity: its unit comes after the number.
    parts = split(value, "|")
    if len(parts) == 3 and parts[1] in _SYSTEMS:
        return "|".join((parts[0], _SYSTEMS[parts[1]], parts[2]))
    return value


def _refused(name: str, operator: Operator) -> Invalid:
    return Invalid(f"`_filter`: `{operator}` does not exist for `{name}`, as R4's table of operations has it")
