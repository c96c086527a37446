"""
JSON to FHIR's XML.

Elements are written in the order of R4's definitions, numbers as the literals they are, white
space in values as references, and the narrative as the string it is. Meant for resources that
were validated; of one that was not, what has no place in XML is refused with its FHIRPath.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from fhir_server.r4.errors import NotAcceptable, Unprocessable
from fhir_server.r4.resource import DEPTH_MAX, Literal, Resource
from fhir_server.r4.validation.scope import Path, expression, is_showable
from fhir_server.r4.xml.parser import NotXml, escaped, is_narrative, is_number
from fhir_server.r4.xml.shapes import ATTRIBUTE_PLACE, FHIR, Content, Rule, Shape, shapes

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_INDENT: Final = "  "

_LEVELS_MAX: Final = DEPTH_MAX + 16
"""A Bundle that we make is a few levels around a resource that has DEPTH_MAX itself."""


def to_xml(resource: Resource, *, pretty: bool = False) -> bytes:
    """
    The resource as XML in UTF-8; `pretty` puts each element on its own line.

    Raises Unprocessable for what R4's definitions do not have, NotAcceptable for a character
    that JSON has and XML has not.
    """
    writer = _Writer("\n" if pretty else "", _INDENT if pretty else "")
    writer.resource(resource, None, "", 0, f' xmlns="{FHIR}"')
    return "".join((*writer.parts, writer.line)).encode()


class _Writer:
    __slots__ = ("indent", "line", "parts")

    def __init__(self, line: str, indent: str) -> None:
        self.parts = [_DECLARATION]
        self.line = line
        self.indent = indent

    def resource(self, value: Any, path: Path | None, margin: str, level: int, namespace: str = "") -> None:
        type = value.get("resourceType")
        shape = shapes().resources.get(type) if isinstance(type, str) else None
        if shape is None:
            _refuse((path, "resourceType", None), "must be a resource type of R4")
        self._elements(value, shape.name, shape, path or (None, shape.name, None), margin, level, namespace)

    def _elements(
        self,
        value: Any,
        tag: str,
        shape: Shape,
        path: Path,
        margin: str,
        level: int,
        attributes: str = "",
    ) -> None:
        """An element of a complex type; its id and url are in the tag."""
        if level > _LEVELS_MAX:
            _refuse(path, f"is nested deeper than {_LEVELS_MAX} levels")
        for name in shape.attributes:
            if name in value:
                attributes += f' {name}="{_attribute(value[name], (path, name, None))}"'
        before = len(self.parts)
        self.parts.append(f"{self.line}{margin}<{tag}{attributes}>")
        self._children(value, shape, path, margin + self.indent, level)
        if len(self.parts) == before + 1:
            self.parts[-1] = f"{self.line}{margin}<{tag}{attributes}/>"
        else:
            self.parts.append(f"{self.line}{margin}</{tag}>")

    def _children(self, value: Any, shape: Shape, path: Path, margin: str, level: int) -> None:
        places, properties = shape.places, shape.properties
        try:
            names = sorted(value, key=places.__getitem__)
        except KeyError:
            _refuse_unknown(value, shape, path)
        for name in names:
            if places[name] == ATTRIBUTE_PLACE:
                continue
            rule = properties[name]
            if rule.is_primitive:
                self._property(name, rule, value, path, margin, level)
            elif rule.is_array:
                content = value[name]
                if not isinstance(content, list):
                    _refuse((path, rule.name, None), "must be a JSON array")
                for place, item in enumerate(content):
                    self._element(item, rule, (path, rule.name, place), margin, level)
            else:
                self._element(value[name], rule, (path, rule.name, None), margin, level)

    def _element(self, value: Any, rule: Rule, path: Path, margin: str, level: int) -> None:
        if rule.content is Content.XHTML:
            self._narrative(value, path, margin)
        elif not isinstance(value, dict):
            _refuse(path, "must be a JSON object")
        elif rule.content is Content.RESOURCE:
            self.parts.append(f"{self.line}{margin}<{rule.property}>")
            self.resource(value, path, margin + self.indent, level + 2)
            self.parts.append(f"{self.line}{margin}</{rule.property}>")
        else:
            self._elements(value, rule.property, rule.shape, path, margin, level + 1)

    def _property(self, name: str, rule: Rule, around: Any, path: Path, margin: str, level: int) -> None:
        """A primitive with its companion; met twice when it has one, written once."""
        if name != rule.property and rule.property in around:
            return
        value = around.get(rule.property)
        companion = around.get(rule.beside) if rule.beside is not None else None
        if not rule.is_array:
            self._primitive(value, companion, rule, (path, rule.name, None), margin, level)
            return
        values = _list(value, path, rule)
        companions = _list(companion, path, rule)
        for place in range(max(len(values), len(companions))):
            self._primitive(
                values[place] if place < len(values) else None,
                companions[place] if place < len(companions) else None,
                rule,
                (path, rule.name, place),
                margin,
                level,
            )

    def _primitive(self, value: Any, companion: Any, rule: Rule, path: Path, margin: str, level: int) -> None:
        if value is None and not companion:
            # The place of a value that has nothing: neither JSON nor XML may leave it so.
            _refuse(path, "must have a value or an extension (ele-1)")
        attribute = "" if value is None else f' value="{_value(value, rule, path)}"'
        if companion is None:
            self.parts.append(f"{self.line}{margin}<{rule.property}{attribute}/>")
            return
        if not isinstance(companion, dict) or "value" in companion:
            _refuse(path, f"must have an id or extensions, and no more, in `_{rule.property}`")
        self._elements(companion, rule.property, rule.shape, path, margin, level + 1, attribute)

    def _narrative(self, value: Any, path: Path, margin: str) -> None:
        if not isinstance(value, str) or not is_narrative(value):
            _refuse(path, "must be one `div` of XHTML")
        self.parts.append(f"{self.line}{margin}{value}")


def _list(content: Any, path: Path, rule: Rule) -> list[Any]:
    if content is None:
        return []
    if not isinstance(content, list):
        _refuse((path, rule.name, None), "must be a JSON array")
    return content


def _value(value: Any, rule: Rule, path: Path) -> str:
    if rule.content is Content.TEXT:
        return _attribute(value, path)
    text = _literal(value, rule.content)
    if text is None:
        _refuse(path, f"must be a JSON {rule.content.name.lower()}")
    return text


def _literal(value: Any, content: Content) -> str | None:
    match content:
        case Content.BOOLEAN if value is True or value is False:
            return "true" if value else "false"
        case Content.NUMBER if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        case Content.NUMBER if isinstance(value, Literal):
            text = bytes(value).decode()
            if is_number(text):
                return text
    return None


def _attribute(value: Any, path: Path) -> str:
    if not isinstance(value, str):
        _refuse(path, "must be a JSON string")
    try:
        return escaped(value)
    except NotXml:
        where = expression(path)
        raise NotAcceptable(f"`{where}` holds a character that XML does not have", where) from None


def _refuse_unknown(value: Any, shape: Shape, path: Path) -> NoReturn:
    unknown = next(name for name in value if name not in shape.places)
    if is_showable(unknown):
        _refuse((path, unknown, None), f"is not an element of {shape.name}")
    _refuse(path, "has a property whose name no element has")


def _refuse(path: Path, text: str) -> NoReturn:
    where = expression(path)
    raise Unprocessable(f"`{where}` {text}", where)
