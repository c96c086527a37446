"""
The vocabulary of R4's own facts: what `build.py` writes and `definitions()` reads.

Names are those of StructureDefinition, ElementDefinition, SearchParameter,
CompartmentDefinition and OperationDefinition; prose is left out.

https://hl7.org/fhir/R4/elementdefinition.html, https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TypeKind = Literal["resource", "complex", "primitive", "backbone", "abstract"]
"""`backbone`: a structure inside a type, such as `Patient.contact` or `Timing.repeat`."""

BindingStrength = Literal["required", "extensible", "preferred", "example"]


@dataclass(frozen=True, slots=True)
class ElementType:
    """
    One type that an element may have.

    `targets` are type names that a Reference or canonical may point to; empty means any.
    `profile` is the name of a constrained datatype: SimpleQuantity is the only one in R4.
    """

    code: str
    targets: tuple[str, ...] = ()
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """`value_set` is a canonical url without its version; None when R4 only describes it."""

    strength: BindingStrength
    value_set: str | None = None


@dataclass(frozen=True, slots=True)
class ElementFacts:
    """
    One element: `Patient.name` or `Observation.value[x]`, whose `name` is `value`.

    `max` None is `*`. `content_reference` is the path of the element whose structure this
    one repeats (`Bundle.link`). `invariants` holds what is declared here, without ele-1 and
    ext-1, which hold of every element and every Extension. `order` counts from 0 in the type.
    """

    path: str
    name: str
    order: int
    min: int
    max: int | None
    types: tuple[ElementType, ...]
    is_choice: bool = False
    is_summary: bool = False
    is_modifier: bool = False
    binding: Binding | None = None
    content_reference: str | None = None
    has_structure: bool = False
    invariants: tuple[str, ...] = ()

    @property
    def structure(self) -> str | None:
        """The key in `Definitions.types` of the backbone that is this element's content."""
        return self.content_reference or (self.path if self.has_structure else None)

    def json_name(self, type_code: str) -> str:
        """The JSON property for a value of this type: `valueQuantity`."""
        return self.name + type_code[:1].upper() + type_code[1:] if self.is_choice else self.name


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """A resource type, a datatype or a backbone; `pattern` is R4's own regex of a primitive."""

    name: str
    kind: TypeKind
    base: str | None
    elements: Mapping[str, ElementFacts]
    invariants: tuple[str, ...] = ()
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Invariant:
    """`paths` says where it is declared; a rule inherited by all is declared once, at its source."""

    key: str
    severity: Literal["error", "warning"]
    expression: str
    paths: tuple[str, ...]
    best_practice: bool = False


@dataclass(frozen=True, slots=True)
class SearchComponent:
    """`expression` is relative to what the composite's own expression selects."""

    definition: str
    expression: str


SearchType = Literal[
    "number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"
]


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """
    A search parameter as one resource type has it.

    `expression` is cut to the alternatives that can select something in that type. None
    when R4 gives none (`_text`, `_content`, `_query`, Patient's `age` and `birthOrderBoolean`).
    """

    code: str
    url: str
    type: SearchType
    expression: str | None
    bases: tuple[str, ...]
    targets: tuple[str, ...] = ()
    components: tuple[SearchComponent, ...] = ()
    comparators: tuple[str, ...] = ()
    multiple_or: bool | None = None
    multiple_and: bool | None = None
    xpath_usage: str | None = None


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """One parameter of an operation; `max` None is `*`, `type` None has `parts`."""

    name: str
    use: Literal["in", "out"]
    min: int
    max: int | None
    type: str | None
    search_type: str | None = None
    targets: tuple[str, ...] = ()
    parts: tuple[OperationParameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """`resources` may hold the abstract `Resource`, which means each type."""

    code: str
    url: str
    resources: tuple[str, ...]
    on_system: bool
    on_type: bool
    on_instance: bool
    parameters: tuple[OperationParameter, ...]


@dataclass(frozen=True, slots=True)
class Definitions:
    """
    R4 4.0.1 as data.

    `types` holds every resource type, datatype and backbone, and the abstract Element,
    BackboneElement, Resource and DomainResource. `search_parameters` is by concrete type,
    then code, and repeats those of Resource and DomainResource in each type that has them.
    `compartments` is by compartment, then type; a type without parameters is not in it.
    `invariants` has more than one meaning for a key once: R4 uses `inv-1` in three types.
    `value_sets` is by canonical url without version, then system; a system with no codes is
    one that has a grammar instead of a list (`urn:ietf:bcp:13`, `http://unitsofmeasure.org`).
    `counts` is what the build found in its source, by FHIR's own words.
    """

    resource_types: frozenset[str]
    datatypes: frozenset[str]
    types: Mapping[str, TypeFacts]
    search_parameters: Mapping[str, Mapping[str, SearchParameter]]
    compartments: Mapping[str, Mapping[str, tuple[str, ...]]]
    operations: tuple[Operation, ...]
    invariants: Mapping[str, tuple[Invariant, ...]]
    value_sets: Mapping[str, Mapping[str, frozenset[str]]]
    counts: Mapping[str, int]
