"""
Resources made to try an invariant: of the elements that its expression names, some are there.

What they say is drawn from what the expression compares them with, and from a few values that
have some format or other. Not all are valid; the invariant is asked all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from fhir_server.r4.definitions import ElementFacts, Invariant, definitions
from fhir_server.r4.fhirpath import Environment, Node, compiled
from fhir_server.r4.fhirpath.nodes import child
from fhir_server.r4.resource import Literal
from fhir_server.r4.validation.invariants import IN_THE_WALK, Rule, meaning
from tests.r4.instances import PRIMITIVE_VALUES

DECLARED: Final = [
    (path, invariant)
    for meanings in definitions().invariants.values()
    for invariant in meanings
    for path in invariant.paths
    if invariant.key not in IN_THE_WALK
]
"""Each invariant where it is declared."""

ATTEMPTS: Final = 3_000
DEPTH_MAX: Final = 5

_WORDS: Final = ("Text", "not a name", "T", "T.a", "U.a", "*", "-1", "1", "Practitioner/1", "Organization/1")
_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "boolean": (True, False),
    "date": ("2024", "2024-03-01", "2025-01-01"),
    "dateTime": ("2024", "2024-03-01", "2025-01-01"),
    "decimal": (-1, 0, 1, Literal(b"1.5"), 101),
    "instant": ("2024-03-01T00:00:00Z", "2025-03-01T00:00:00Z"),
    "integer": (-1, 0, 1, 2, 3),
    "positiveInt": (1, 2, 3),
    "unsignedInt": (0, 1, 2),
}


_ALSO: Final = {
    "children": ("snapshot", "differential"),
    "descendants": ("item", "concept"),
    "low": ("value",),
}
"""Elements that an expression means by a word that is not their name."""


def attempts(path: str, expression: str) -> Iterator[tuple[Node, Node]]:
    """Resources (or values of the datatype) with an element at `path`, and that element."""
    type, *steps = path.removesuffix("[x]").split(".")
    type = "Basic" if type == "DomainResource" else type
    made = _Maker(meaning(expression), steps)
    for _ in range(ATTEMPTS):
        root = Node(type, made.object(type, 0))
        found = [root]
        for step in steps:
            found = child(step)(found)
        for focus in found:
            yield root, focus


def verdict(invariant: Invariant, resource: Node, focus: Node) -> bool:
    """Does the element keep the rule?"""
    rule = Rule(invariant, compiled(meaning(invariant.expression)))
    return rule.holds(focus, Environment(resource, resource, focus))


class _Maker:
    def __init__(self, expression: str, steps: list[str]) -> None:
        self._random = Random(expression)
        without_texts = re.sub(r"'(?:[^'\\]|\\.)*'", "", expression)
        self._names = set(re.findall(r"[A-Za-z]+", without_texts)) | set(steps)
        self._names |= {name for word in self._names for name in _ALSO.get(word, ())}
        self._steps = dict(enumerate(steps))
        texts = re.findall(r"'((?:[^'\\]|\\.)*)'", expression)
        self._texts = [text for text in texts if "\\" not in text and "[" not in text] + list(_WORDS)
        self._texts.append("http://unitsofmeasure.org")

    def object(self, type: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {"resourceType": type} if _is_resource(type) else {}
        for element in definitions().types[type].elements.values():
            wanted = element.name in self._names and element.name not in ("id", "extension")
            if element.name == self._steps.get(depth) or (wanted and self._random.random() < 0.6):
                self._add(element, made, depth)
            elif element.name in self._names and self._random.random() < 0.3:
                made |= {"id": f"i{self._random.randrange(4)}"} if element.name == "id" else {}
        return made

    def _add(self, element: ElementFacts, made: dict[str, Any], depth: int) -> None:
        if depth >= DEPTH_MAX:
            return
        if element.structure is not None:
            one: list[Any] = [self.object(element.structure, depth + 1) for _ in range(self._count(element))]
            made[element.name] = one[0] if element.max == 1 else one
            return
        mentioned = [
            type for type in element.types if type.code.casefold() in {n.casefold() for n in self._names}
        ]
        declared = self._random.choice([*mentioned, *element.types[:4]])
        values = [self._value(declared.code, depth) for _ in range(self._count(element))]
        made[element.json_name(declared.code)] = values[0] if element.max == 1 else values

    def _count(self, element: ElementFacts) -> int:
        return 1 if element.max == 1 else self._random.choice((1, 1, 2, 3))

    def _value(self, type: str, depth: int) -> Any:
        if type in _VALUES:
            return self._random.choice(_VALUES[type])
        if type in PRIMITIVE_VALUES:
            return self._random.choice([*self._texts, PRIMITIVE_VALUES[type]])
        if type == "Resource":
            kinds = sorted(name for name in self._names | {"Basic"} if _is_resource(name))
            return self.object(self._random.choice(kinds), depth + 1)
        if type == "Reference":
            return {"reference": self._random.choice(("Practitioner/1", "Organization/1"))}
        # Something must stand there to be there, and nothing asks for its display.
        return self.object(type, depth + 1) or {"display": "x"}


def _is_resource(type: str) -> bool:
    return type in definitions().resource_types
