"""
Which elements the expression of a search parameter selects, read from R4's own definitions.

A reading of its own, of the few forms that R4's expressions have, so that what is expected of a
search does not come from what the server makes of the same expression.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fhir_server.r4.definitions import ElementFacts, ElementType, SearchParameter, definitions

OF_AN_EXTENSION: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("CodeableConcept", "Identifier", "string"),
    "reference": ("Reference",),
    "string": ("string",),
}
"""What the value of an extension may be that is searched as this."""

_ITEM_SUBJECT: Final = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"
_DECEASED: Final = "Patient.deceased.exists() and Patient.deceased != false"


@dataclass(frozen=True, slots=True)
class Step:
    """One element on the way, in one of its types; `beside` are members that must stand next to it."""

    element: ElementFacts
    declared: ElementType
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.element.json_name(self.declared.code)

    @property
    def repeats(self) -> bool:
        return self.element.max != 1

    @property
    def inner(self) -> str:
        """Where the elements inside are found: a backbone or a datatype."""
        return self.element.structure or self.declared.code


@dataclass(frozen=True, slots=True)
class Selection:
    """One way through the definitions to a value that an expression selects."""

    type: str
    steps: tuple[Step, ...]
    target: str | None = None
    extension: str | None = None

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def kind(self) -> str:
        """The FHIR type of the value."""
        return self.last.declared.code

    @property
    def path(self) -> str:
        """As JSON has it: `Condition.onsetAge`."""
        return ".".join((self.type, *(step.name for step in self.steps)))

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}" + (f" to {self.target}" if self.target else "")


def selections(type: str, parameter: SearchParameter) -> list[Selection]:
    """Each element in each type that the parameter selects in a resource of `type`."""
    if parameter.expression is None:
        return []
    if parameter.expression == _DECEASED:
        return selections_of(type, "Patient.deceased", parameter.type)
    return [
        replace(found, target=found.target or _target(found, parameter))
        for alternative in parameter.expression.split(" | ")
        for found in selections_of(type, alternative, parameter.type)
    ]


def selections_of(type: str, path: str, search_type: str) -> list[Selection]:
    """The same for one alternative: a path of names from the type on."""
    found = [Selection(type, ())]
    for name in _names(path)[path.strip(" (")[0].isupper() :]:
        found = [longer for one in found for longer in _further(one, name, search_type)]
    return [one for one in found if one.steps and (one.kind != "BackboneElement" or search_type == "special")]


def _target(one: Selection, parameter: SearchParameter) -> str | None:
    """A type that both the element and the parameter may refer to; Bundle's first entry is of it itself."""
    if one.kind not in ("Reference", "Resource"):
        return None
    allowed = set(one.last.declared.targets) or set(parameter.targets)
    return min(allowed.intersection(parameter.targets) or allowed, default="Condition")


def _names(path: str) -> list[str]:
    """`(A.b as C).d` and `A.b.as(C).d` are `A.b.ofType(C).d`; `b[0]` is `b`."""
    plain = re.sub(r"\(([\w.]+) as (\w+)\)", r"\1.ofType(\2)", path.strip())
    plain = plain.replace(".as(", ".ofType(").replace("[0]", "")
    return re.findall(r"\w+(?:\((?:[^()']|'[^']*'|\(\)|\([^()]*\))*\))?", plain)


def _further(one: Selection, name: str, search_type: str) -> Iterator[Selection]:
    word, _, argument = name.partition("(")
    argument = argument.removesuffix(")")
    match word:
        case "ofType":
            if one.kind.lower() == argument.lower():
                yield one
        case "where":
            yield _where(one, argument)
        case "extension":
            yield from _extended(one, argument.strip("'"), search_type)
        case _:
            yield from _inside(one, word)


def _where(one: Selection, argument: str) -> Selection:
    if found := re.fullmatch(r"resolve\(\) is (\w+)", argument):
        return replace(one, target=found[1])
    beside: Mapping[str, Any]
    if argument.startswith("hasExtension"):
        beside = {"extension": [{"url": _ITEM_SUBJECT, "valueBoolean": True}]}
    else:
        name, _, value = argument.partition("=")
        beside = {name: value.strip("'")}
    *before, last = one.steps
    return replace(one, steps=(*before, replace(last, beside=beside)))


def _extended(one: Selection, url: str, search_type: str) -> Iterator[Selection]:
    [extension] = [step for found in _inside(one, "extension") for step in found.steps[-1:]]
    value = definitions().types["Extension"].elements["value"]
    for declared in value.types:
        if declared.code in OF_AN_EXTENSION[search_type]:
            steps = (*one.steps, replace(extension, beside={"url": url}), Step(value, declared))
            yield replace(one, steps=steps, extension=url)


def _inside(one: Selection, name: str) -> Iterator[Selection]:
    holder = one.last.inner if one.steps else one.type
    element = definitions().types[holder].elements.get(name)
    if element is None:
        return
    for declared in element.types or (ElementType("BackboneElement"),):
        yield replace(one, steps=(*one.steps, Step(element, declared)))
