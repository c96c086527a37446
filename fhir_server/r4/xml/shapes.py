"""
R4's facts, compiled for XML: for each type, its elements by XML name and by JSON property.

The order of the elements is part of the format, so each rule carries its place. The ways to
write a choice share one place, as do a primitive and its `_` companion.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from fhir_server.r4.definitions import ElementFacts, ElementType, TypeFacts, definitions
from fhir_server.r4.primitives import PRIMITIVES

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"

ATTRIBUTE_PLACE: Final = -1
"""Where `resourceType`, `id` and `url` stand: in the tag, not among the elements."""


class Content(enum.Enum):
    """What an element holds. `RESOURCE` is one around a resource; `ROOT` is that resource's own."""

    TEXT = enum.auto()
    BOOLEAN = enum.auto()
    NUMBER = enum.auto()
    XHTML = enum.auto()
    ELEMENTS = enum.auto()
    RESOURCE = enum.auto()
    ROOT = enum.auto()


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """
    One element in one of its types.

    `name` is what FHIRPath calls it, `property` what JSON and XML do. `beside` is the JSON
    property for a primitive's id and extensions, None when it can have none. `levels` is how
    much deeper JSON gets by it.
    """

    name: str
    property: str
    place: int
    content: Content
    shape: Shape
    is_array: bool = False
    is_primitive: bool = False
    beside: str | None = None
    levels: int = 0


@dataclass(slots=True, eq=False)
class Shape:
    """
    What may be in an element of a type.

    `elements` is by XML name as expat gives it, `http://hl7.org/fhir name`; `properties` and
    `places` are by JSON property, `places` with companions and what stands in the tag.
    """

    name: str
    attributes: tuple[str, ...] = ()
    elements: dict[str, Rule] = field(default_factory=dict)
    properties: dict[str, Rule] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shapes:
    """`types` by name, those of resources once more; `root` holds one resource, as a document does."""

    types: Mapping[str, Shape]
    resources: Mapping[str, Shape]
    root: Shape


@functools.cache
def shapes() -> Shapes:
    """The shape of each type and backbone, made once in a process."""
    facts = definitions().types
    # All are made before any is filled: types hold each other.
    types = {name: Shape(name) for name, one in facts.items() if one.kind != "primitive"}
    resources = {name: types[name] for name in sorted(definitions().resource_types)}
    root = Shape("Resource")
    for name, shape in resources.items():
        root.elements[f"{FHIR} {name}"] = Rule(name, "resource", 0, Content.ROOT, shape)
        shape.places["resourceType"] = ATTRIBUTE_PLACE
    filler = _Filler(types, root, _companion(types["Extension"]))
    for name, shape in types.items():
        filler.fill(shape, facts[name])
    return Shapes(types, resources, root)


def _companion(extension: Shape) -> Shape:
    """What may be in a primitive: extensions, which JSON has two levels down in the `_` companion."""
    shape = Shape("Element", attributes=("value", "id"))
    rule = Rule("extension", "extension", 0, Content.ELEMENTS, extension, is_array=True, levels=3)
    shape.elements[f"{FHIR} extension"] = shape.properties["extension"] = rule
    shape.places |= {"id": ATTRIBUTE_PLACE, "extension": 0}
    return shape


_CONTENTS: Final = {
    "boolean": Content.BOOLEAN,
    "decimal": Content.NUMBER,
    "integer": Content.NUMBER,
    "positiveInt": Content.NUMBER,
    "unsignedInt": Content.NUMBER,
    "xhtml": Content.XHTML,
}
"""All other primitives are strings in JSON."""

_BARE: Final = Shape("Element", attributes=("value",))
"""A primitive with nothing but its value: a resource's own id."""


@dataclass(frozen=True, slots=True)
class _Filler:
    types: Mapping[str, Shape]
    root: Shape
    companion: Shape

    def fill(self, shape: Shape, facts: TypeFacts) -> None:
        for element in facts.elements.values():
            if _is_attribute(element, facts):
                shape.attributes = (*shape.attributes, element.name)
                shape.places[element.name] = ATTRIBUTE_PLACE
                continue
            for rule in self._rules(element):
                namespace = XHTML if rule.content is Content.XHTML else FHIR
                shape.elements[f"{namespace} {rule.property}"] = rule
                shape.properties[rule.property] = rule
                shape.places[rule.property] = rule.place
                if rule.beside is not None:
                    shape.properties[rule.beside] = rule
                    shape.places[rule.beside] = rule.place

    def _rules(self, element: ElementFacts) -> Iterator[Rule]:
        is_array = element.max != 1
        if element.structure is not None:
            shape = self.types[element.structure]
            yield self._holder(element, element.name, Content.ELEMENTS, shape, is_array=is_array)
            return
        for declared in element.types:
            property = element.json_name(declared.code)
            if declared.code == "Resource":
                yield self._holder(element, property, Content.RESOURCE, self.root, is_array=is_array)
            elif declared.code in PRIMITIVES:
                yield self._primitive(element, declared, property, is_array=is_array)
            else:
                shape = self.types[declared.code]
                yield self._holder(element, property, Content.ELEMENTS, shape, is_array=is_array)

    def _holder(
        self, element: ElementFacts, property: str, content: Content, shape: Shape, *, is_array: bool
    ) -> Rule:
        return Rule(
            element.name, property, element.order, content, shape, is_array=is_array, levels=1 + is_array
        )

    def _primitive(
        self, element: ElementFacts, declared: ElementType, property: str, *, is_array: bool
    ) -> Rule:
        has_companion = element.name != "id" and declared.code != "xhtml"
        return Rule(
            element.name,
            property,
            element.order,
            _CONTENTS.get(declared.code, Content.TEXT),
            self.companion if has_companion else _BARE,
            is_array=is_array,
            is_primitive=declared.code != "xhtml",
            beside=f"_{property}" if has_companion else None,
            levels=int(is_array),
        )


def _is_attribute(element: ElementFacts, facts: TypeFacts) -> bool:
    """An id is an attribute, but a resource's own; so is the url of an extension."""
    if element.name == "id":
        is_resource = facts.base in {None, "Resource", "DomainResource"} and facts.name != "Element"
        return not is_resource
    return element.path == "Extension.url"
