"""
Build step: StructureDefinition snapshots to types, elements and invariants.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fhir_server.r4.definitions.facts import (
    Binding,
    ElementFacts,
    ElementType,
    Invariant,
    TypeFacts,
    TypeKind,
)

Json = dict[str, Any]

_EXTENSIONS: Final = "http://hl7.org/fhir/StructureDefinition/"
_FHIR_TYPE: Final = _EXTENSIONS + "structuredefinition-fhir-type"
_REGEX: Final = _EXTENSIONS + "regex"
_BEST_PRACTICE: Final = _EXTENSIONS + "elementdefinition-bestpractice"

_SYSTEM_STRING: Final = "http://hl7.org/fhirpath/System.String"

_EVERYWHERE: Final = frozenset(("ele-1", "ext-1"))


def types_of(structures: Iterable[Json]) -> dict[str, TypeFacts]:
    """Every type and backbone by name, elements in their order."""
    found: dict[str, TypeFacts] = {}
    for structure in sorted(structures, key=lambda sd: str(sd["name"])):
        found |= _types_of_one(structure)
    return found


def invariants_of(structures: Iterable[Json]) -> dict[str, tuple[Invariant, ...]]:
    """Each key with its meanings; where inherited, only the declaring path is named."""
    meanings: dict[tuple[str, str], tuple[Json, list[str]]] = {}
    for structure in sorted(structures, key=lambda sd: str(sd["name"])):
        for element in structure["snapshot"]["element"]:
            for constraint in element.get("constraint", ()):
                identity = (constraint["key"], constraint["expression"])
                paths = meanings.setdefault(identity, (constraint, []))[1]
                # A snapshot marks what it inherits with its source.
                if "source" in constraint:
                    path = _name(constraint["source"])
                else:
                    path = element["path"].replace(structure["type"], structure["name"], 1)
                if path not in paths:
                    paths.append(path)
    found: dict[str, tuple[Invariant, ...]] = {}
    for (key, _), (constraint, paths) in sorted(meanings.items()):
        found[key] = (*found.get(key, ()), _invariant(constraint, paths))
    return found


def required_value_sets(types: Mapping[str, TypeFacts]) -> set[str]:
    """The canonical urls of the value sets that some element must take its code from."""
    return {
        element.binding.value_set
        for facts in types.values()
        for element in facts.elements.values()
        if element.binding and element.binding.strength == "required" and element.binding.value_set
    }


def _types_of_one(structure: Json) -> dict[str, TypeFacts]:
    root, *elements = structure["snapshot"]["element"]
    name = root["path"]
    parents = {element["path"].rpartition(".")[0] for element in elements}
    children: dict[str, list[Json]] = {parent: [] for parent in (name, *sorted(parents))}
    for element in elements:
        children[element["path"].rpartition(".")[0]].append(element)
    declared = {element["path"]: element for element in (root, *elements)}
    found = {}
    for path in [element["path"] for element in (root, *elements) if element["path"] in children]:
        own = [element for element in children[path] if not _is_primitive_value(structure, element)]
        found[path] = TypeFacts(
            name=path,
            kind=_kind(structure) if path == name else "backbone",
            base=_base(structure) if path == name else declared[path]["type"][0]["code"],
            elements={
                facts.name: facts
                for facts in (
                    _element(element, order, has_structure=element["path"] in parents)
                    for order, element in enumerate(own)
                )
            },
            invariants=_keys(declared[path]) if path == name else (),
            pattern=_pattern(elements) if structure["kind"] == "primitive-type" else None,
        )
    return found


def _kind(structure: Json) -> TypeKind:
    if structure["abstract"]:
        return "abstract"
    match structure["kind"]:
        case "resource":
            return "resource"
        case "primitive-type":
            return "primitive"
        case _:
            return "complex"


def _base(structure: Json) -> str | None:
    return _name(structure["baseDefinition"]) if "baseDefinition" in structure else None


def _is_primitive_value(structure: Json, element: Json) -> bool:
    """In JSON a primitive's value is the property itself, not a child of it."""
    return structure["kind"] == "primitive-type" and str(element["path"]).endswith(".value")


def _element(element: Json, order: int, *, has_structure: bool) -> ElementFacts:
    last = element["path"].rpartition(".")[2]
    reference = element.get("contentReference")
    return ElementFacts(
        path=element["path"],
        name=last.removesuffix("[x]"),
        order=order,
        min=element["min"],
        max=None if element["max"] == "*" else int(element["max"]),
        types=tuple(_type(element, declared) for declared in element.get("type", ())),
        is_choice=last.endswith("[x]"),
        is_summary=element.get("isSummary", False),
        is_modifier=element.get("isModifier", False),
        binding=_binding(element),
        content_reference=reference.removeprefix("#") if reference else None,
        has_structure=has_structure,
        invariants=_keys(element),
    )


def _type(element: Json, declared: Json) -> ElementType:
    code = declared["code"]
    for extension in declared.get("extension", ()):
        if extension["url"] == _FHIR_TYPE:
            code = extension["valueUrl"]
    if element.get("base", {}).get("path") == "Resource.id":
        # The snapshots of 4.0.1 say string; the specification's text and its schemas say id.
        code = "id"
    profiles = declared.get("profile", ())
    targets = tuple(_name(target) for target in declared.get("targetProfile", ()))
    return ElementType(
        code="string" if code == _SYSTEM_STRING else code,
        targets=() if targets == ("Resource",) else targets,
        profile=_name(profiles[0]) if profiles else None,
    )


def _binding(element: Json) -> Binding | None:
    binding = element.get("binding")
    if binding is None:
        return None
    value_set = binding.get("valueSet")
    return Binding(binding["strength"], value_set.split("|")[0] if value_set else None)


def _keys(element: Json) -> tuple[str, ...]:
    keys = (constraint["key"] for constraint in element.get("constraint", ()))
    return tuple(key for key in keys if key not in _EVERYWHERE)


def _pattern(elements: list[Json]) -> str | None:
    for element in elements:
        for declared in element.get("type", ()):
            for extension in declared.get("extension", ()):
                if extension["url"] == _REGEX:
                    return str(extension["valueString"])
    return None


def _invariant(constraint: Json, paths: list[str]) -> Invariant:
    return Invariant(
        key=constraint["key"],
        severity=constraint["severity"],
        expression=constraint["expression"],
        paths=tuple(paths),
        best_practice=any(
            extension["url"] == _BEST_PRACTICE and extension.get("valueBoolean", False)
            for extension in constraint.get("extension", ())
        ),
    )


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]
