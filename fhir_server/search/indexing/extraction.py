"""
From a resource to its index entry: everything that a search can ask of it.

Each type has a plan, made once: the alternatives of all its search parameters, equal ones
evaluated once, found by the JSON member they start at, so that a parameter whose element is
absent costs nothing. What has been declared beside R4's own has a plan of its own, made once for each
catalogue in force.

The resource has passed structure validation: extraction judges nothing and refuses nothing.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Final, NamedTuple

from fhir_server.r4.compartments import COMPARTMENTS, patient_parameters
from fhir_server.r4.fhirpath import (
    Collection,
    Environment,
    Evaluate,
    EvaluationError,
    Node,
    compiled_syntax,
    environment,
)
from fhir_server.r4.fhirpath.model import alternatives as members_of
from fhir_server.r4.fhirpath.model import is_a, known_type
from fhir_server.r4.fhirpath.syntax import Call, Member, Syntax, TypeOperation, rooted, type_name
from fhir_server.r4.resource import Key, Resource
from fhir_server.search.declared.catalogue import Catalogue, in_force
from fhir_server.search.declared.parameters import Parameter, declared_for, r4_parameters_of
from fhir_server.search.indexing.clinical_dates import CLINICAL_DATES, earliest
from fhir_server.search.indexing.uses import (
    TOKEN_CHARACTERS_MAX,
    AsComposite,
    AsPoint,
    AsRanges,
    AsTokens,
    Found,
    Use,
)
from fhir_server.search.predicates.canonical import tokens_of
from fhir_server.search.predicates.compartments import focus
from fhir_server.search.predicates.entry import Contained, Entry, Range
from fhir_server.search.values import string
from fhir_server.search.values.by_type import AS_RANGES, AS_TOKENS
from fhir_server.search.values.site import Site
from fhir_server.search.values.words import FullText, words_of

_ELSEWHERE: Final = frozenset(("_id", "_lastUpdated"))
"""Parameters over what the store knows of every version anyway."""


def extract(
    resource: Resource, key: Key, *, base_url: str = "", zone: tzinfo = UTC, full_text: FullText = "off"
) -> Entry:
    """
    The index entry of `resource` as `key`; `full_text` says which of its words are kept.

    A parameter whose element is there but has nothing to search by (a CodeableConcept of
    text alone) leaves the bare token `Type|param|`, so that `:missing` knows.
    """
    site = Site(base_url, zone)
    root = Node(key.type, resource)
    found = _found(root, root, key, site)
    return Entry(
        tokens=tuple(dict.fromkeys([*found.tokens, *_named_by(key, resource)])),
        ranges=tuple(dict.fromkeys(found.ranges)),
        patients=tuple(dict.fromkeys(found.patients)),
        clinical_date=_clinical_date(_plan(key.type).clinical_date, found.ranges),
        point=found.points[0] if found.points else None,
        words=words_of(key.type, resource, full_text),
        contained=() if found.fragments is None else _contained(root, site, found.fragments),
    )


def _named_by(key: Key, resource: Resource) -> list[str]:
    return [token for token in tokens_of(key.type, resource) if len(token) <= TOKEN_CHARACTERS_MAX]


def _contained(root: Node, site: Site, fragments: Iterable[tuple[str, str]]) -> tuple[Contained, ...]:
    """The entries of the resources in `root`, in their order; `fragments` are its references to them."""
    names: dict[str, dict[str, None]] = {}
    for name, id in fragments:
        names.setdefault(id, {})[name] = None
    return tuple([_within(root, inner, site, names) for inner in root.value["contained"]])


def _within(root: Node, inner: Resource, site: Site, names: Mapping[str, Iterable[str]]) -> Contained:
    key = Key(inner["resourceType"], inner.get("id", ""))
    found = _found(Node(key.type, inner), root, key, site)
    entry = Entry(
        tokens=tuple(dict.fromkeys(found.tokens)),
        ranges=tuple(dict.fromkeys(found.ranges)),
        point=found.points[0] if found.points else None,
    )
    return Contained(key, entry, tuple(names.get(key.id, ())))


def _found(node: Node, root: Node, key: Key, site: Site) -> Found:
    """What is in the resource `node`, which is `root` or in it."""
    plan, resource = _plan(key.type), node.value
    focus, around = [node], environment(root)
    patients = [key.id] if key.type == "Patient" else []
    found = Found(_own_tokens(key), [], patients, [], [] if "contained" in resource else None)
    selections = plan.selections(resource)
    catalogue = in_force()
    if key.type in catalogue.by_type:
        selections += _plan_of(catalogue, key.type).selections(resource)
    for selection in selections:
        nodes = selection.evaluate(focus, around)
        if nodes:
            for use in selection.uses:
                use.collect(nodes, around, site, found)
    return found


def _own_tokens(key: Key) -> list[str]:
    """What is known without the resource: its type, and whose compartment it is the focus of."""
    return [key.type, focus(key)] if key.type in COMPARTMENTS else [key.type]


class _Selection(NamedTuple):
    evaluate: Evaluate
    uses: tuple[Use, ...]


class _Plan(NamedTuple):
    by_member: Mapping[str, tuple[_Selection, ...]]
    always: tuple[_Selection, ...]
    clinical_date: str | None

    def selections(self, resource: Resource) -> list[_Selection]:
        wanted = list(self.always)
        for member in resource:
            wanted += self.by_member.get(member, ())
        return wanted


@functools.cache
def _plan(resource_type: str) -> _Plan:
    return _planned(resource_type, r4_parameters_of(resource_type).values(), compiled_syntax)


@functools.lru_cache(maxsize=1_024)
def _plan_of(catalogue: Catalogue, resource_type: str) -> _Plan:
    by_member: dict[str, tuple[_Selection, ...]] = {}
    always: tuple[_Selection, ...] = ()
    for parameter in declared_for(resource_type, catalogue):
        plan = _planned(resource_type, (parameter,), functools.partial(_guarded, parameter))
        always += plan.always
        for member, selections in plan.by_member.items():
            by_member[member] = (*by_member.get(member, ()), *selections)
    return _Plan(by_member, always, None)


def _guarded(parameter: Parameter, expression: Syntax) -> Evaluate:
    """
    R4's own expressions fit its resources and types; another one need not.

    It may find several items where it wants one, which selects nothing, and it may select what a
    parameter of this type has no values of: `Patient.extension.value` is of any type.
    """
    evaluate, wanted = compiled_syntax(expression), parameter.types

    def selected(focus: Collection, around: Environment) -> Collection:
        try:
            found = evaluate(focus, around)
        except EvaluationError:
            return []
        return found if parameter.components else [node for node in found if node.type in wanted]

    return selected


def _planned(
    resource_type: str, parameters: Iterable[Parameter], compiled: Callable[[Syntax], Evaluate]
) -> _Plan:
    sharing: dict[Syntax, list[Parameter]] = {}
    composites: list[Parameter] = []
    for parameter in parameters:
        if parameter.indexed and parameter.type == "composite":
            composites.append(parameter)
        elif parameter.indexed and parameter.code not in _ELSEWHERE:
            for alternative in parameter.alternatives:
                sharing.setdefault(alternative, []).append(parameter)
    found = [
        (
            _Selection(compiled(alternative), _uses(alike)),
            _first_members(alternative, resource_type),
        )
        for alternative, alike in sharing.items()
    ]
    found += [selected for parameter in composites for selected in _joined(parameter, compiled)]
    by_member: dict[str, tuple[_Selection, ...]] = {}
    always: list[_Selection] = []
    for selection, members in found:
        if members is None:
            always.append(selection)
        for member in members or ():
            by_member[member] = (*by_member.get(member, ()), selection)
    clinical_date = CLINICAL_DATES.get(resource_type)
    return _Plan(by_member, tuple(always), clinical_date and f"{resource_type}|{clinical_date}")


def _joined(
    parameter: Parameter, compiled: Callable[[Syntax], Evaluate]
) -> list[tuple[_Selection, frozenset[str] | None]]:
    """The selections of a composite, each with the members one of which must be there."""
    parts = tuple(tuple(map(compiled, part.alternatives)) for part in parameter.components)
    use = AsComposite(parameter.name, parts, parameter.components[1].type)
    found = []
    for alternative in parameter.alternatives:
        wanted: tuple[Syntax, ...] = (alternative,)
        if isinstance(alternative, Member) and alternative.of is None:
            # Of the resource as a whole: the value says whether it is worth a look.
            wanted = tuple(rooted(part, alternative) for part in parameter.components[1].alternatives)
        members = [_first_members(each, parameter.resource_type) for each in wanted]
        known = [each for each in members if each is not None]
        together = frozenset().union(*known) if len(known) == len(members) else None
        found.append((_Selection(compiled(alternative), (use,)), together))
    return found


def _uses(parameters: list[Parameter]) -> tuple[Use, ...]:
    uses: list[Use] = []
    for type, of_names in dict.fromkeys((each.type, each.of_names) for each in parameters):
        alike = [each for each in parameters if (each.type, each.of_names) == (type, of_names)]
        names = tuple(parameter.name for parameter in alike)
        if type in AS_RANGES:
            uses.append(AsRanges(AS_RANGES[type], names))
        elif type == "special":
            uses.append(AsPoint(names))
        else:
            in_compartment = not _compartment_names(alike[0].resource_type).isdisjoint(names)
            suffixes = string.suffixes_of_names if of_names else AS_TOKENS[type]
            uses.append(AsTokens(suffixes, names, in_compartment))
    return tuple(uses)


def _compartment_names(resource_type: str) -> frozenset[str]:
    """The names under which the references that say whose a resource is are indexed."""
    parameters = r4_parameters_of(resource_type)
    return frozenset(name for code in patient_parameters(resource_type) for name in parameters[code].found_as)


def _first_members(expression: Syntax, resource_type: str) -> frozenset[str] | None:
    """The JSON members one of which must be there for a result; None when it cannot be told."""
    only = None
    while True:
        match expression:
            case Member(of=Member(of=None, name=root), name=name) if root[0].isupper():
                return frozenset(
                    found.member
                    for found in members_of(resource_type, name)
                    if only is None or is_a(found.type, only)
                )
            case TypeOperation(operator="as", of=of, type=type):
                expression, only = of, type
            case Call(of=of, name="as" | "ofType", arguments=(argument,)) if of is not None:
                expression, only = of, known_type(type_name(argument) or "")
            case Member(of=of) | Call(of=of, name="where" | "extension") if of is not None:
                expression, only = of, None
            case _:
                return None


def _clinical_date(name: str | None, ranges: list[Range]) -> int | None:
    if name is None:
        return None
    moments = [earliest(int(found.low), int(found.high)) for found in ranges if found.parameter == name]
    return min((moment for moment in moments if moment is not None), default=None)
