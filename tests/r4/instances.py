"""
Minimal valid instances of R4's types, made from the definitions.

`minimal("Observation")` has what must be there and no more; it keeps the invariants, too.
`places("Observation")` are all its elements, those of its backbones too; `instance_at(place)` is a
minimal instance that has the element at that place, whose structure is right though it may break
an invariant, and `put` writes another value there. For tests that want something of every type, or
one wrong value in an otherwise right resource.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.r4.definitions import ElementFacts, ElementType, definitions
from fhir_server.r4.resource import Literal

PRIMITIVE_VALUES: Final[Mapping[str, Any]] = {
    "base64Binary": "aGVsbG8=",
    "boolean": True,
    "canonical": "http://example.org/canonical|1",
    "code": "code",
    "date": "2024-02-29",
    "dateTime": "2024-02-29T13:28:17.239+02:00",
    "decimal": Literal(b"1.50"),
    "id": "a-1.b",
    "instant": "2024-02-29T13:28:17.239+02:00",
    "integer": -1,
    "markdown": "some *text*",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "text",
    "time": "13:28:17",
    "unsignedInt": 0,
    "uri": "http://example.org/uri",
    "url": "http://example.org/url",
    "uuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">text</div>',
}
"""A good value for each primitive type."""

_FIRST_SAID: Final[Mapping[str, str]] = {
    "CodeableConcept": "text",
    "Extension": "value",
    "Quantity": "value",
    "Range": "low",
    "Reference": "reference",
}
"""What a datatype without required elements says, where the first element would not do."""


_LOGICAL: Final = {"element": [{"id": "Text", "path": "Text"}]}

_FOR_INVARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "AllergyIntolerance": {
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                    "code": "active",
                }
            ]
        }
    },
    "Appointment": {"status": "proposed"},
    "Appointment.participant": {"actor": {"reference": "Location/1"}},
    "AppointmentResponse": {"actor": {"reference": "Location/1"}},
    "CapabilityStatement": {"kind": "requirements", "description": "text", "rest": [{"mode": "client"}]},
    "CompartmentDefinition": {"name": "Text"},
    "Consent": {"policyRule": {"text": "text"}},
    "GraphDefinition": {"name": "Text"},
    "ImmunizationRecommendation.recommendation": {"vaccineCode": [{"text": "text"}]},
    "ImplementationGuide": {"name": "Text"},
    "InsurancePlan": {"name": "text"},
    "Linkage": {
        "item": [{"type": "source", "resource": {"reference": f"Patient/{number}"}} for number in (1, 2)]
    },
    "MolecularSequence": {"coordinateSystem": 0},
    "NamingSystem": {"name": "Text"},
    "NutritionOrder": {"supplement": [{"productName": "text"}]},
    "OperationDefinition": {"name": "Text"},
    "Organization": {"name": "text"},
    # An active one has to be one that can be searched by, and the only one with its code.
    "SearchParameter": {
        "name": "Text",
        "status": "retired",
        "type": "string",
        "expression": "Account.name",
    },
    "StructureDefinition": {"name": "Text", "kind": "logical", "differential": _LOGICAL},
    "StructureMap": {"name": "Text"},
    "TerminologyCapabilities": {"kind": "requirements", "description": "text"},
    "TestScript": {"name": "Text"},
    "TriggerDefinition": {"type": "named-event", "name": "text"},
}
"""What a type must say for its invariants, beyond its required elements, or instead of the first code."""


@dataclass(frozen=True, slots=True)
class Place:
    """One element of a resource type in one of its types; `around` are the backbones it is in."""

    type: str
    around: tuple[ElementFacts, ...]
    element: ElementFacts
    declared: ElementType

    @property
    def json_name(self) -> str:
        return self.element.json_name(self.declared.code)

    @property
    def expression(self) -> str:
        """Its FHIRPath in `instance_at(place)`."""
        return ".".join((self.type, *map(_indexed, (*self.around, self.element))))

    def __str__(self) -> str:
        return f"{self.expression}: {self.declared.code}"


def minimal(name: str) -> dict[str, Any]:
    """The least that a type, datatype or backbone must say."""
    facts = definitions().types[name]
    found: dict[str, Any] = {"resourceType": name} if facts.kind == "resource" else {}
    for element in facts.elements.values():
        if element.min > 0:
            found |= _property(element)
    if name == "Extension" or (facts.kind != "resource" and not found):
        found |= _property(_first_said(name))
    return found | copy.deepcopy(dict(_FOR_INVARIANTS.get(name, {})))


def places(type: str) -> Iterator[Place]:
    """Each element that a resource of this type can have, in each of its types."""
    yield from _places(type, (), definitions().types[type].elements)


def instance_at(place: Place) -> dict[str, Any]:
    """A minimal resource that has the element."""
    resource = minimal(place.type)
    target = around(resource, place)
    for name in definitions().types[place.element.path.rpartition(".")[0]].elements[place.element.name].types:
        target.pop(place.element.json_name(name.code), None)
    one = value(place.element, place.declared)
    target[place.json_name] = one if place.element.max == 1 else [one]
    return resource


def around(resource: dict[str, Any], place: Place) -> dict[str, Any]:
    """The object that holds, or would hold, the element; backbones on the way are made."""
    target = resource
    for backbone in place.around:
        inner = target.setdefault(backbone.name, _property(backbone)[backbone.name])
        target = inner[0] if isinstance(inner, list) else inner
    return target


def put(place: Place, wrong: Any) -> dict[str, Any]:
    """`instance_at(place)` with another value there (the first one, if it repeats)."""
    resource = copy.deepcopy(instance_at(place))
    target = around(resource, place)
    target[place.json_name] = wrong if place.element.max == 1 else [wrong]
    return resource


def value(element: ElementFacts, declared: ElementType) -> Any:
    """A good value of this type for this element: codes from its value set, targets it allows."""
    bound = _bound_code(element)
    match declared.code:
        case "Resource" if element.name == "contained":
            # Refers to its container, so that nothing has to refer to it (dom-3).
            return minimal("Basic") | {"id": "b", "subject": {"reference": "#"}}
        case "Resource":
            return minimal("Basic")
        case "Reference":
            return {"reference": f"{min(declared.targets, default='Patient')}/1"}
        case "code" if bound:
            return bound["code"]
        case "CodeableConcept" if bound:
            return {"coding": [bound]}
        case code if code in PRIMITIVE_VALUES:
            return PRIMITIVE_VALUES[code]
        case _ if element.structure is not None:
            return minimal(element.structure)
        case code:
            return minimal(code)


def _places(
    type: str, inside: tuple[ElementFacts, ...], elements: Mapping[str, ElementFacts]
) -> Iterator[Place]:
    for element in elements.values():
        if element.structure is None:
            yield from (Place(type, inside, element, declared) for declared in element.types)
        else:
            yield Place(type, inside, element, ElementType("BackboneElement"))
            if element.content_reference is None:
                inner = definitions().types[element.structure].elements
                yield from _places(type, (*inside, element), inner)


def _property(element: ElementFacts) -> dict[str, Any]:
    declared = element.types[0] if element.types else ElementType("BackboneElement")
    if element.path == "Extension.value[x]":
        declared = ElementType("string")
    one = value(element, declared)
    return {element.json_name(declared.code): one if element.max == 1 else [one]}


def _first_said(name: str) -> ElementFacts:
    elements = definitions().types[name].elements
    if name in _FIRST_SAID:
        return elements[_FIRST_SAID[name]]
    own = [element for element in elements.values() if element.name not in _SAYS_NOTHING]
    return own[0]


_SAYS_NOTHING: Final = ("id", "extension", "modifierExtension")


def _bound_code(element: ElementFacts) -> dict[str, str] | None:
    binding = element.binding
    if binding is None or binding.strength != "required" or binding.value_set is None:
        return None
    for system, codes in definitions().value_sets.get(binding.value_set, {}).items():
        if codes:
            return {"system": system, "code": min(codes)}
        return {"system": system, "code": "text/plain"}
    return None


def _indexed(element: ElementFacts) -> str:
    return element.name if element.max == 1 else f"{element.name}[0]"
