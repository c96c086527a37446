"""
Build step: search parameters and compartments, by concrete resource type.

https://hl7.org/fhir/R4/searchparameter-registry.html, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from fhir_server.r4.definitions.facts import SearchComponent, SearchParameter, TypeFacts

Json = dict[str, Any]


def search_parameters_of(
    definitions: list[Json], types: Mapping[str, TypeFacts], resource_types: Collection[str]
) -> dict[str, dict[str, SearchParameter]]:
    """
    The search parameters of each concrete type, by code.

    Ten experimental ones on extensions of ValueSet and CodeSystem have neither base nor
    expression in R4 and so belong to no type.
    """
    by_base: dict[str, list[SearchParameter]] = {}
    for definition in sorted(definitions, key=lambda sp: (sp["code"], sp["url"])):
        for base in definition.get("base", ()):
            by_base.setdefault(base, []).append(_parameter(definition))
    found: dict[str, dict[str, SearchParameter]] = {}
    for name in sorted(resource_types):
        bases = ["Resource", *(["DomainResource"] if types[name].base == "DomainResource" else []), name]
        own = [parameter for base in bases for parameter in by_base.get(base, ())]
        found[name] = {
            parameter.code: replace(parameter, expression=_cut(parameter.expression, bases, resource_types))
            for parameter in own
        }
        if len(found[name]) != len(own):
            raise ValueError(f"{name} has a code twice")
    return found


def compartments_of(definitions: list[Json]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The parameters that put a resource into a compartment, by compartment and type."""
    return {
        definition["code"]: {
            resource["code"]: tuple(resource["param"])
            for resource in definition["resource"]
            if "param" in resource
        }
        for definition in sorted(definitions, key=lambda definition: str(definition["code"]))
    }


def _parameter(definition: Json) -> SearchParameter:
    return SearchParameter(
        code=definition["code"],
        url=definition["url"],
        type=definition["type"],
        expression=definition.get("expression"),
        bases=tuple(definition["base"]),
        targets=tuple(definition.get("target", ())),
        components=tuple(
            SearchComponent(component["definition"], component["expression"])
            for component in definition.get("component", ())
        ),
        comparators=tuple(definition.get("comparator", ())),
        multiple_or=definition.get("multipleOr"),
        multiple_and=definition.get("multipleAnd"),
        xpath_usage=definition.get("xpathUsage"),
    )


_FIRST_NAME: Final = re.compile(r"[(\s]*([A-Za-z]+)")


def _cut(expression: str | None, bases: list[str], resource_types: Collection[str]) -> str | None:
    """The alternatives that do not start at another resource type."""
    if expression is None:
        return None
    kept = []
    for alternative in _alternatives(expression):
        first = _FIRST_NAME.match(alternative)
        if first is None or first[1] in bases or first[1] not in resource_types:
            kept.append(alternative.strip())
    if not kept:
        raise ValueError(f"`{expression}` selects nothing in {bases}")
    return " | ".join(kept)


def _alternatives(expression: str) -> list[str]:
    """The operands of the outermost `|`."""
    parts, depth = [""], 0
    for character in expression:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
