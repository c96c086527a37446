"""
R4's facts, compiled for the walk: for each type, what each JSON property must be.

A plan has one entry for each property that JSON may have: `valueQuantity` and not `value[x]`,
and `_birthDate` beside `birthDate`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.r4.definitions import ElementFacts, ElementType, TypeFacts, definitions
from fhir_server.r4.primitives import PRIMITIVES, Check, Problem
from fhir_server.r4.validation.bindings import code_check, concept_hook
from fhir_server.r4.validation.invariants import Rule, rules_of_element, rules_of_type
from fhir_server.r4.validation.references import local_canonical, local_uri, reference_hook
from fhir_server.r4.validation.scope import Hook, LinkHook, Path, Scope


@dataclass(frozen=True, slots=True)
class Property:
    """
    One JSON property. A primitive has a `check`, an element with content a `plan`, a nested
    resource neither.

    `name` is the element's, as FHIRPath has it. `choice` is the property's own name when it
    is one way to write a choice. `beside` is, of a primitive, the property that has its id
    and extensions, and of that one (`is_beside`) the property that has the value. `link`
    judges a primitive that starts with `#`.
    """

    name: str
    is_array: bool
    check: Check | None = None
    plan: Plan | None = None
    choice: str | None = None
    beside: str | None = None
    is_beside: bool = False
    link: LinkHook | None = None
    hook: Hook | None = None


@dataclass(frozen=True, slots=True)
class Required:
    """An element that must be there, in one of these properties."""

    name: str
    properties: tuple[str, ...]


@dataclass(slots=True)
class Plan:
    """
    What the JSON object of a type may and must have; `choices` says how to write a choice.

    `rules` are the invariants that it must keep, `best_practice` those that it should.
    """

    name: str
    is_resource: bool
    properties: dict[str, Property] = field(default_factory=dict)
    required: tuple[Required, ...] = ()
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    best_practice: tuple[Rule, ...] = ()


@functools.cache
def plans() -> Mapping[str, Plan]:
    """The plan of each type and backbone."""
    types = definitions().types
    # All are made before any is filled: types hold each other (Extension, Reference, Identifier).
    found = {name: Plan(name, is_resource=facts.kind == "resource") for name, facts in types.items()}
    elements = [element for facts in types.values() for element in facts.elements.values()]
    structured = [element for element in elements if element.structure is not None and element.invariants]
    # An element that repeats the structure of another may have rules of its own: a plan of its own.
    found |= {
        element.path: Plan(element.structure or "", is_resource=False)
        for element in structured
        if element.content_reference is not None
    }
    for plan in found.values():
        facts = types[plan.name]
        if facts.kind != "primitive":
            _fill(plan, facts, found)
            _add_rules(plan, rules_of_type(facts))
    for element in structured:
        _add_rules(found[element.path], rules_of_element(element))
    return found


def _add_rules(plan: Plan, rules: Sequence[Rule]) -> None:
    plan.rules += tuple(rule for rule in rules if not rule.invariant.best_practice)
    plan.best_practice += tuple(rule for rule in rules if rule.invariant.best_practice)


def _fill(plan: Plan, facts: TypeFacts, all_plans: Mapping[str, Plan]) -> None:
    required = []
    if plan.is_resource:
        plan.properties["resourceType"] = Property("resourceType", is_array=False, check=_known_already)
    for element in facts.elements.values():
        written = _written(element, all_plans)
        plan.properties.update(written)
        if element.is_choice:
            plan.choices[element.name] = tuple(name for name in written if name[0] != "_")
        if element.min > 0:
            required.append(Required(element.name, tuple(written)))
    plan.required = tuple(required)


def _known_already(_value: object) -> Problem | None:
    """`resourceType` chose the plan."""
    return None


def _written(element: ElementFacts, all_plans: Mapping[str, Plan]) -> dict[str, Property]:
    """Each property that can hold this element."""
    is_array = element.max != 1
    if element.structure is not None:
        plan = all_plans.get(element.path) or all_plans[element.structure]
        return {element.name: Property(element.name, is_array=is_array, plan=plan)}
    found: dict[str, Property] = {}
    for declared in element.types:
        json_name = element.json_name(declared.code)
        if declared.code in PRIMITIVES:
            found |= _primitive(element, declared, json_name, all_plans)
        else:
            found[json_name] = Property(
                element.name,
                is_array=is_array,
                plan=None if declared.code == "Resource" else all_plans[declared.code],
                choice=json_name if element.is_choice else None,
                hook=_hook(element, declared),
            )
    return found


def _primitive(
    element: ElementFacts, declared: ElementType, json_name: str, all_plans: Mapping[str, Plan]
) -> dict[str, Property]:
    is_array = element.max != 1
    choice = json_name if element.is_choice else None
    has_beside = _may_have_extensions(element, declared)
    found = {
        json_name: Property(
            element.name,
            is_array=is_array,
            check=_check(element, declared),
            choice=choice,
            beside=f"_{json_name}" if has_beside else None,
            link=_LINKS.get(declared.code),
        )
    }
    if has_beside:
        found[f"_{json_name}"] = Property(
            element.name,
            is_array=is_array,
            plan=all_plans["Element"],
            choice=choice,
            beside=json_name,
            is_beside=True,
        )
    return found


_LINKS: Final[Mapping[str, LinkHook]] = {
    "canonical": local_canonical,
    "uri": local_uri,
    "url": local_uri,
}


def _may_have_extensions(element: ElementFacts, declared: ElementType) -> bool:
    """Ids, `Extension.url` and XHTML are attributes or markup in XML, and have no children there."""
    return element.name != "id" and element.path != "Extension.url" and declared.code != "xhtml"


def _check(element: ElementFacts, declared: ElementType) -> Check:
    binding = element.binding
    if declared.code == "code" and binding and binding.strength == "required" and binding.value_set:
        return code_check(binding.value_set)
    return PRIMITIVES[declared.code]


def _hook(element: ElementFacts, declared: ElementType) -> Hook | None:
    match declared.code:
        case "Extension":
            return _value_or_extensions
        case "Reference":
            return reference_hook(frozenset(declared.targets))
        case "Quantity" if declared.profile == "SimpleQuantity":
            return _no_comparator
        case "CodeableConcept":
            binding = element.binding
            if binding and binding.strength == "required" and binding.value_set:
                return concept_hook(binding.value_set)
    return None


def _value_or_extensions(value: Mapping[str, Any], path: Path, scope: Scope) -> None:
    has_value = any(name.startswith(("value", "_value")) for name in value)
    if has_value == ("extension" in value):
        scope.report("invariant", path, "must have either a value or extensions, and not both (ext-1)")


def _no_comparator(value: Mapping[str, Any], path: Path, scope: Scope) -> None:
    if "comparator" in value or "_comparator" in value:
        scope.report("invariant", (path, "comparator", None), "must not be used here (sqty-1)")
