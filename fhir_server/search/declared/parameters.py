"""
The search parameters of each type, ready to extract by and to search by.

All of R4's are here, those too that cannot be searched yet: these are refused by name. Beside them
stand those of the catalogue in force (catalogue.py): a search knows those that are complete, while
entries are made of all that are declared (`declared_for`).

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.r4.definitions import SearchParameter, definitions
from fhir_server.r4.definitions.facts import SearchType
from fhir_server.r4.errors import Unavailable
from fhir_server.r4.fhirpath.outcomes import Outcome, Outcomes, outcomes
from fhir_server.r4.fhirpath.syntax import Call, Member, Syntax, TypeOperation, operands, parse
from fhir_server.search.declared.catalogue import Catalogue, Declared, in_force

SUPPORTED_TYPES: Final[frozenset[SearchType]] = frozenset(
    ("token", "reference", "string", "date", "uri", "number", "quantity", "composite", "special")
)
"""The parameter types that a search gets an answer for."""

_JOINED: Final[frozenset[SearchType]] = frozenset(("token", "reference", "string", "date", "quantity"))
"""What a composite may join to a code: one of these, or two numbers, where something begins and ends."""

_QUANTITIES: Final = ("Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range", "SampledData")

VALUES: Final[Mapping[SearchType, frozenset[str]]] = {
    "token": frozenset(
        ("code", "Coding", "CodeableConcept", "Identifier", "ContactPoint", "boolean", "id", "string", "uri")
    ),
    "reference": frozenset(("Reference", "Resource", "canonical", "uri")),
    "string": frozenset(("string", "markdown", "HumanName", "Address")),
    "date": frozenset(("date", "dateTime", "instant", "Period", "Timing")),
    "uri": frozenset(("uri", "url", "canonical", "oid", "uuid")),
    "number": frozenset(("decimal", "integer", "positiveInt", "unsignedInt")),
    "quantity": frozenset(_QUANTITIES),
}
"""The FHIR types that a parameter of each type has values of: https://hl7.org/fhir/R4/search.html#table"""

_R4: Final = "http://hl7.org/fhir/SearchParameter/"

CORRECTED: Final[Mapping[str, str]] = {
    # FHIRPath has no function `hasExtension`.
    _R4 + "questionnaireresponse-extensions-QuestionnaireResponse-item-subject": (
        "QuestionnaireResponse.item.where(extension("
        "'http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject').exists())"
        ".answer.value.ofType(Reference)"
    ),
}
"""What R4 meant, where its own expression cannot be evaluated."""

_EXCHANGED: Final = frozenset((_R4 + "DocumentReference-relationship",))
"""Composites whose components name each other's definitions."""

_NEVER_RECORDED: Final = frozenset(
    ("AuditEvent|agent-name", "AuditEvent|agent-role", "AuditEvent|entity-name")
)
"""Over elements that no record of this server has; audit/capabilities.py says why."""

NEAR: Final = "Location|near"
"""R4's one parameter of type special. What another one would mean, nobody can know."""

Systems = Mapping[str, frozenset[str]]
"""Code systems and those of their codes that a binding allows; none for a system with a grammar."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    One search parameter of one resource type.

    `name` is what its tokens and ranges begin with: `Observation|code`. `alternatives` are the
    operands of its expression, `types` the FHIR types that these can select. `targets` is what R4
    says a reference parameter may refer to, `reaches` what is left of it by the elements' own
    definitions. `systems` is for a parameter over elements of type code: the systems of their
    required bindings, None without.

    What other parameters together select anyway is not indexed twice: `Observation|combo-code`
    is found as `Observation|code` and `Observation|component-code`, its `found_as`.

    A composite has `components`, whose alternatives are relative to what its own select. `url` is
    the canonical of its definition. `of_names` is for strings: these are names of people, or parts of them.
    """

    resource_type: str
    code: str
    name: str
    type: SearchType
    targets: tuple[str, ...]
    reaches: tuple[str, ...]
    alternatives: tuple[Syntax, ...]
    types: frozenset[str]
    systems: Systems | None
    found_as: tuple[str, ...]
    components: tuple[Parameter, ...] = ()
    url: str = ""
    of_names: bool = False

    @property
    def supported(self) -> bool:
        """A search by it gets an answer."""
        return (
            self.type in SUPPORTED_TYPES
            and bool(self.alternatives)
            and (self.type != "composite" or _is_joined(self.components))
            and (self.type != "special" or self.name == NEAR)
            and self.name not in _NEVER_RECORDED
        )

    @property
    def indexed(self) -> bool:
        """Tokens or ranges are kept under its own name."""
        return self.supported and self.found_as == (self.name,)

    def parts(self) -> tuple[Parameter, ...]:
        """The parameter under each name that it is found as."""
        if self.found_as == (self.name,):
            return (self,)
        return tuple(replace(self, name=name) for name in self.found_as)


def parameters_of(resource_type: str) -> Mapping[str, Parameter]:
    """By code, in the order of their codes: R4's own, and of the catalogue in force what is complete."""
    catalogue = in_force()
    if resource_type not in catalogue.by_type:
        return r4_parameters_of(resource_type)
    return _together(resource_type, catalogue)


def being_built(resource_type: str, code: str) -> Unavailable | None:
    """Why this search parameter is not among them yet."""
    catalogue = in_force()
    if any(one.code == code for one in catalogue.by_type.get(resource_type, ()) if one in catalogue.building):
        return Unavailable(f"The search parameter `{code}` is being indexed: ask again later")
    return None


def declared_for(resource_type: str, catalogue: Catalogue) -> tuple[Parameter, ...]:
    """Those of the catalogue that entries of the type are made of."""
    return tuple(own_parameter(one, resource_type) for one in catalogue.by_type.get(resource_type, ()))


@functools.lru_cache(maxsize=1_024)
def _together(resource_type: str, catalogue: Catalogue) -> Mapping[str, Parameter]:
    complete = [one for one in catalogue.by_type[resource_type] if one.id in catalogue.complete]
    own = {one.code: own_parameter(one, resource_type) for one in complete}
    return dict(sorted({**r4_parameters_of(resource_type), **own}.items()))


@functools.lru_cache(maxsize=4_096)
def own_parameter(one: Declared, resource_type: str) -> Parameter:
    """
    What somebody has declared, as one type has it.

    Of what its expression selects, what a parameter of its type has no values of is left out.
    """
    parameter = _parameter(resource_type, _as_r4_says(one))
    types = parameter.types if one.type == "composite" else parameter.types & VALUES[one.type]
    return replace(parameter, types=types, found_as=(parameter.name,))


def _as_r4_says(one: Declared) -> SearchParameter:
    return SearchParameter(
        one.code, one.url, one.type, one.expression, one.bases, one.targets, one.components
    )


@functools.cache
def r4_parameters_of(resource_type: str) -> Mapping[str, Parameter]:
    """R4's own, by code, in the order of their codes."""
    declared = definitions().search_parameters[resource_type]
    parameters = [_parameter(resource_type, declared[code]) for code in sorted(declared)]
    indexed: list[Parameter] = []
    for parameter in sorted(parameters, key=lambda parameter: len(parameter.alternatives)):
        if parameter.supported and not _covering(parameter, indexed):
            indexed.append(parameter)
    return {
        parameter.code: replace(parameter, found_as=_covering(parameter, indexed) or (parameter.name,))
        for parameter in parameters
    }


def _parameter(resource_type: str, declared: SearchParameter) -> Parameter:
    alternatives, selected = _alternatives(resource_type, declared)
    types = frozenset(outcome.type for outcome in selected)
    return Parameter(
        resource_type=resource_type,
        code=declared.code,
        name=f"{resource_type}|{declared.code}",
        type=declared.type,
        targets=declared.targets,
        reaches=_reaches(declared, alternatives, resource_type),
        alternatives=alternatives,
        types=types,
        systems=_systems(selected) if types == {"code"} else None,
        found_as=(),
        components=_components(resource_type, declared, selected),
        url=declared.url,
        of_names=declared.type == "string" and bool(selected) and all(map(_is_name, selected)),
    )


def _is_name(outcome: Outcome) -> bool:
    """A HumanName or a part of one."""
    within = outcome.element.path.partition(".")[0] if outcome.element else None
    return "HumanName" in (within, outcome.type) and within != "Extension"


def _components(resource_type: str, declared: SearchParameter, selected: Outcomes) -> tuple[Parameter, ...]:
    listed = [component.definition for component in declared.components]
    if declared.url in _EXCHANGED:
        listed.reverse()
    return tuple(
        _component(resource_type, declared, component.expression, r4_by_url()[definition], selected)
        for component, definition in zip(declared.components, listed, strict=True)
    )


def _component(
    resource_type: str, composite: SearchParameter, expression: str, declared: SearchParameter, of: Outcomes
) -> Parameter:
    relative = operands(parse(expression), "|")
    found = tuple(
        each
        for outcome in of
        for operand in relative
        for each in outcomes(operand, outcome.type, resource_type)
    )
    types = frozenset(outcome.type for outcome in found)
    reached = {type for outcome in found for type in _declared_targets(outcome) or declared.targets}
    return Parameter(
        resource_type=resource_type,
        code=composite.code,
        name="",
        type=declared.type,
        targets=declared.targets,
        reaches=tuple(target for target in declared.targets if target in reached),
        alternatives=relative if found else (),
        types=types,
        systems=_systems(found) if types == {"code"} else None,
        found_as=("",),
    )


@functools.cache
def r4_by_url() -> Mapping[str, SearchParameter]:
    """Search parameters by their url, as some type has them."""
    of_types = definitions().search_parameters.values()
    return {declared.url: declared for of_type in of_types for declared in of_type.values()}


def _is_joined(components: tuple[Parameter, ...]) -> bool:
    """A code and a value, or a beginning and an end, which an index can ask together."""
    if not all(component.alternatives for component in components):
        return False
    match [component.type for component in components]:
        case ["token", kind]:
            return kind in _JOINED
        case ["token", "number", "number"]:
            return True
        case _:
            return False


def _selecting(parameter: Parameter) -> tuple[object, ...]:
    """What parameters must have in common to be found as each other."""
    return (parameter.type, *((part.type, part.alternatives) for part in parameter.components))


def _covering(parameter: Parameter, indexed: list[Parameter]) -> tuple[str, ...]:
    """Names of indexed parameters of the same type that together select what this one selects."""
    wanted = set(parameter.alternatives)
    others = [
        other
        for other in indexed
        if other is not parameter
        and _selecting(other) == _selecting(parameter)
        and wanted.issuperset(other.alternatives)
    ]
    covered = {alternative for other in others for alternative in other.alternatives}
    return tuple(other.name for other in others) if covered == wanted else ()


def _alternatives(resource_type: str, declared: SearchParameter) -> tuple[tuple[Syntax, ...], Outcomes]:
    expression = CORRECTED.get(declared.url, declared.expression)
    if expression is None:
        return (), ()
    alternatives: list[Syntax] = []
    selected: Outcomes = ()
    for operand in operands(parse(expression), "|"):
        alternative = _value_of_extension(operand, resource_type)
        found = outcomes(alternative, resource_type)
        if found:
            alternatives.append(alternative)
            selected += found
    return tuple(alternatives), selected


def _reaches(
    declared: SearchParameter, alternatives: tuple[Syntax, ...], resource_type: str
) -> tuple[str, ...]:
    allowed: set[str] = set()
    for alternative in alternatives:
        match alternative:
            case Call(name="where", arguments=(TypeOperation("is", Call(name="resolve"), type),)):
                allowed.add(type)
            case _:
                for outcome in outcomes(alternative, resource_type):
                    allowed |= _declared_targets(outcome) or set(declared.targets)
    return tuple(target for target in declared.targets if target in allowed)


def _declared_targets(outcome: Outcome) -> set[str]:
    """What the element may refer to; none is anything."""
    types = outcome.element.types if outcome.element else ()
    return {target for type in types if type.code == outcome.type for target in type.targets}


def _value_of_extension(alternative: Syntax, resource_type: str) -> Syntax:
    """Some of R4's expressions end at an Extension; what is searched is its value."""
    ends_there = any(outcome.type == "Extension" for outcome in outcomes(alternative, resource_type))
    return Member(alternative, "value") if ends_there else alternative


def _systems(selected: Outcomes) -> Systems | None:
    """The systems of all bindings together; None as soon as one element has no required binding."""
    together: dict[str, frozenset[str]] = {}
    for outcome in selected:
        binding = outcome.element.binding if outcome.element else None
        if binding is None or binding.strength != "required" or binding.value_set is None:
            return None
        for system, codes in definitions().value_sets.get(binding.value_set, {}).items():
            together[system] = together.get(system, frozenset()) | codes
    return together
