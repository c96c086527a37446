"""
FHIR's XML to JSON.

Everything that is there must be an element or attribute of R4, in R4's order: what could not
be kept is refused with its FHIRPath, never dropped. What a value says is not judged here but
where JSON needs to know (numbers, booleans); the rest is validated as any JSON is.

https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html#xml
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from fhir_server.r4.errors import Invalid
from fhir_server.r4.resource import DEPTH_MAX, json_value
from fhir_server.r4.validation.scope import is_showable
from fhir_server.r4.xml.parser import WHITESPACE, Parser, is_number
from fhir_server.r4.xml.shapes import FHIR, XHTML, Content, Rule, Shape, shapes

_BOOLEANS: Final = {"true": True, "false": False}


def from_xml(text: bytes) -> dict[str, Any]:
    """
    The resource written in `text` (UTF-8 XML), as JSON.

    Raises Invalid, with the FHIRPath of the element, when it is not XML, has a document type,
    or has anything that R4's definitions do not have, or have elsewhere.
    """
    return _Reader(text).read()


_Frame = tuple["Rule | None", Shape, dict[str, Any], int]
"""An element that is open: its rule (none for the document), shape, JSON object, and last place."""


class _Reader:
    """
    Follows expat's events with the stack of what is open.

    The JSON of an element is put into its parent when it opens, so that the path can be told
    from the stack at any time. Of a primitive, `_value` is its companion.
    """

    __slots__ = (
        "_depth",
        "_inside",
        "_parser",
        "_place",
        "_rule",
        "_shape",
        "_stack",
        "_start_of_div",
        "_to_even",
        "_value",
    )

    def __init__(self, text: bytes) -> None:
        self._parser = Parser(text)
        self._stack: list[_Frame] = []
        self._rule: Rule | None = None
        self._shape = shapes().root
        self._value: dict[str, Any] = {}
        self._place = -1
        self._depth = 1
        self._to_even: list[tuple[dict[str, Any], Rule]] = []
        self._start_of_div = 0
        self._inside = 0

    def read(self) -> dict[str, Any]:
        document = self._value
        self._listen()
        self._parser.parse()
        for around, rule in self._to_even:
            _even(around, rule)
        resource: dict[str, Any] = document["resource"]
        return resource

    def _listen(self) -> None:
        self._parser.expat.StartElementHandler = self._start
        self._parser.expat.EndElementHandler = self._end
        self._parser.expat.CharacterDataHandler = self._characters

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        rule = self._shape.elements.get(name)
        if rule is None:
            self._refuse_element(name)
        place = rule.place
        if place <= self._place and not (place == self._place and rule.is_array):
            self._refuse_place(rule)
        around = self._value
        self._stack.append((self._rule, self._shape, around, place))
        self._rule = rule
        self._shape = rule.shape
        self._place = -1
        value: dict[str, Any] = {}
        self._value = value
        self._depth += rule.levels
        if rule.is_primitive:
            self._start_primitive(rule, around, attributes)
        elif rule.content is Content.XHTML:
            self._start_div()
        else:
            self._start_elements(rule, around, value, attributes)
        if self._depth > DEPTH_MAX:
            raise Invalid(f"The body is nested deeper than {DEPTH_MAX} levels")

    def _start_elements(
        self, rule: Rule, around: dict[str, Any], value: dict[str, Any], attributes: dict[str, str]
    ) -> None:
        if rule.content is Content.ROOT:
            value["resourceType"] = rule.name
        if rule.is_array:
            if rule.property in around:
                around[rule.property].append(value)
            else:
                around[rule.property] = [value]
        else:
            around[rule.property] = value
        for name, text in attributes.items():
            if name not in rule.shape.attributes:
                self._refuse_attribute(name)
            value[name] = text

    def _start_primitive(self, rule: Rule, around: dict[str, Any], attributes: dict[str, str]) -> None:
        literal = None
        # Before anything is refused, so that the path names this repetition.
        if rule.is_array:
            around.setdefault(rule.property, []).append(None)
        for name, text in attributes.items():
            if name == "value":
                literal = text if rule.content is Content.TEXT else self._literal(rule, text)
            elif name in rule.shape.attributes:
                self._value[name] = text
                if self._depth >= DEPTH_MAX:
                    raise Invalid(f"The body is nested deeper than {DEPTH_MAX} levels")
            else:
                self._refuse_attribute(name)
        if literal is None:
            return
        if rule.is_array:
            around[rule.property][-1] = literal
        else:
            around[rule.property] = literal

    def _literal(self, rule: Rule, text: str) -> Any:
        if rule.content is Content.BOOLEAN:
            if text not in _BOOLEANS:
                self._refuse("must be true or false")
            return _BOOLEANS[text]
        if not is_number(text):
            self._refuse("must be a number")
        try:
            return json_value(text.encode())
        except Invalid as absurd:
            raise Invalid(str(absurd), self._expression()) from absurd

    def _end(self, _name: str) -> None:
        rule, value = self._rule, self._value
        assert rule is not None, "a tag was open"
        if rule.is_primitive:
            around = self._stack[-1][2]
            if value:
                self._put_beside(rule, around, value)
            elif rule.property not in around or (rule.is_array and around[rule.property][-1] is None):
                self._refuse("must have a value or an extension (ele-1)")
        elif not value:
            self._refuse("must not be empty")
        elif rule.content is Content.RESOURCE:
            around = self._stack[-1][2]
            if rule.is_array:
                around[rule.property][-1] = value["resource"]
            else:
                around[rule.property] = value["resource"]
        self._depth -= rule.levels
        self._rule, self._shape, self._value, self._place = self._stack.pop()

    def _put_beside(self, rule: Rule, around: dict[str, Any], companion: dict[str, Any]) -> None:
        assert rule.beside is not None, "only what has a companion takes an id or an extension"
        if not rule.is_array:
            around[rule.beside] = companion
            return
        if rule.beside not in around:
            around[rule.beside] = []
            self._to_even.append((around, rule))
        companions = around[rule.beside]
        companions.extend([None] * (len(around[rule.property]) - 1 - len(companions)))
        companions.append(companion)

    def _characters(self, text: str) -> None:
        if text.strip(WHITESPACE):
            self._refuse("must not hold text: a value is an attribute in FHIR's XML")

    def _start_div(self) -> None:
        """From here to its end tag, the narrative is text; its elements are only counted."""
        parser = self._parser.expat
        self._start_of_div = parser.CurrentByteIndex
        self._inside = 0
        parser.StartElementHandler = self._start_inside
        parser.EndElementHandler = self._end_inside
        parser.CharacterDataHandler = None

    def _start_inside(self, _name: str, _attributes: Mapping[str, str]) -> None:
        self._inside += 1

    def _end_inside(self, name: str) -> None:
        if self._inside:
            self._inside -= 1
            return
        markup = self._parser.markup(self._start_of_div, self._parser.expat.CurrentByteIndex)
        self._stack[-1][2]["div"] = markup
        self._value = {"div": markup}
        self._listen()
        self._end(name)

    def _refuse(self, text: str) -> NoReturn:
        where = self._expression()
        raise Invalid(f"`{where}` {text}" if where else f"The body {text}", *filter(None, (where,)))

    def _refuse_element(self, name: str) -> NoReturn:
        namespace, _, local = name.rpartition(" ")
        where = self._expression()
        if not where:
            self._refuse(f"must have a resource type of R4 as its root element, in the namespace {FHIR}")
        if namespace != FHIR and not (namespace == XHTML and local == "div"):
            self._refuse(f"holds an element of another namespace than {FHIR}")
        if self._shape is shapes().root:
            self._refuse("must hold a resource type of R4")
        if not is_showable(local):
            self._refuse("holds an element whose name no element has")
        if f"{XHTML} {local}" in self._shape.elements:
            self._refuse(f"must have its `{local}` in the namespace {XHTML}")
        where = f"{where}.{local}"
        raise Invalid(f"`{where}` is not an element of {self._shape.name}", where)

    def _refuse_attribute(self, name: str) -> NoReturn:
        shown = f"the attribute `{name}`" if is_showable(name) else "an attribute of that name"
        self._refuse(f"must not have {shown}")

    def _refuse_place(self, rule: Rule) -> NoReturn:
        where = self._expression()
        if rule.content is Content.ROOT:
            self._refuse("must hold one resource")
        where = f"{where}.{rule.name}"
        if rule.place == self._place:
            raise Invalid(f"`{where}` must not repeat", where)
        raise Invalid(f"`{where}` stands too late: XML has elements in the order of R4's definitions", where)

    def _expression(self) -> str:
        """Where it stands, as FHIRPath: `Patient.contact[0].telecom[1].system`."""
        if not self._stack:
            return ""
        names: list[str] = []
        rules = [*(frame[0] for frame in self._stack[1:]), self._rule]
        for rule, (_, _, around, _) in zip(rules, self._stack, strict=True):
            assert rule is not None, "only the document has no rule"
            if rule.content is Content.ROOT and names:
                continue
            repeats = f"[{len(around[rule.property]) - 1}]" if rule.is_array else ""
            names.append(rule.name + repeats)
        return ".".join(names)


def _even(around: dict[str, Any], rule: Rule) -> None:
    """A repeating primitive and its companions have as many entries, or no values at all."""
    assert rule.beside is not None, "it has a companion"
    values, companions = around[rule.property], around[rule.beside]
    companions.extend([None] * (len(values) - len(companions)))
    if all(value is None for value in values):
        del around[rule.property]
