"""
A document as a tree that can be changed, for XML Patch.

A narrative stays the text it was until somebody looks or changes something inside it; what
nobody changes is written as it was read. White space between FHIR's elements is left out.
Neither reading nor writing recurses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from fhir_server.r4.errors import Invalid
from fhir_server.r4.xml.parser import WHITESPACE, Parser, escaped
from fhir_server.r4.xml.shapes import XHTML

XML: Final = "http://www.w3.org/XML/1998/namespace"
DIV: Final = f"{XHTML} div"

_OPERATION_DEPTH: Final = 2


@dataclass(slots=True, eq=False)
class Leaf:
    """Text, or a comment."""

    text: str
    parent: Element
    is_comment: bool = False


@dataclass(slots=True, eq=False)
class Element:
    """
    `name` is as expat gives it: `http://hl7.org/fhir Patient`, empty for the document itself.

    `namespaces` has what is declared here and around, by prefix, and is kept for the first two
    levels alone: that is where a patch has its selectors. `markup` is how a narrative is
    written, as long as nobody changed it; `is_read` tells whether `nodes` holds what is in it.
    """

    name: str
    parent: Element | None
    attributes: dict[str, str] = field(default_factory=dict)
    namespaces: dict[str | None, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    markup: str | None = None
    is_read: bool = True

    @property
    def children(self) -> list[Node]:
        """What is inside; to be changed only after `touch`."""
        if not self.is_read:
            self.is_read = True
            assert self.markup is not None, "a narrative that is not read is text"
            (inside,) = _Reader(self.markup.encode(), opens_narratives=True).read().nodes
            assert isinstance(inside, Element), "a narrative is one element"
            self.nodes = inside.nodes
            for child in self.nodes:
                child.parent = self
        return self.nodes

    @property
    def is_narrative(self) -> bool:
        """Is it a `div`, or in one? There, text and white space count."""
        return self.name.startswith(f"{XHTML} ")

    def touch(self) -> None:
        """It is about to change, so the text that it, or a narrative around it, was read from is void."""
        element: Element | None = self
        while element is not None:
            if element.markup is not None and element.children is not None:
                element.markup = None
            element = element.parent

    def text(self) -> Iterator[str]:
        """All text inside, in document order."""
        waiting: list[Node] = [*reversed(self.children)]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Element):
                waiting.extend(reversed(node.children))
            elif not node.is_comment:
                yield node.text


Node = Element | Leaf


def read_tree(text: bytes) -> Element:
    """The document; its root is the one child. Raises Invalid as `from_xml` does for what is no XML."""
    return _Reader(text).read()


def write_tree(document: Element) -> bytes:
    """The document as XML in UTF-8; namespaces are declared where they begin, without prefixes."""
    parts: list[str] = []
    waiting: list[tuple[Node | str, str]] = [(child, "") for child in reversed(document.children)]
    while waiting:
        node, around = waiting.pop()
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, Leaf):
            parts.append(f"<!--{node.text}-->" if node.is_comment else _escaped_text(node.text))
        elif node.markup is not None:
            parts.append(node.markup)
        else:
            namespace, _, local = node.name.rpartition(" ")
            declared = "" if namespace == around else f' xmlns="{escaped(namespace)}"'
            parts.append(f"<{local}{declared}{_attributes(node)}")
            parts.append(">" if node.children else "/>")
            if node.children:
                waiting.append((f"</{local}>", namespace))
                waiting.extend((child, namespace) for child in reversed(node.children))
    return "".join(parts).encode()


class _Reader:
    """Makes the tree of one document; with `opens_narratives` of what is inside a `div`, too."""

    def __init__(self, text: bytes, *, opens_narratives: bool = False) -> None:
        self._parser = Parser(text)
        self._opens_narratives = opens_narratives
        self._document = self._open = Element("", None)
        self._depth = 0
        self._start_of_div = 0
        self._inside = 0

    def read(self) -> Element:
        self._listen()
        self._parser.parse()
        return self._document

    def _listen(self) -> None:
        expat = self._parser.expat
        expat.StartElementHandler = self._start
        expat.EndElementHandler = self._end
        expat.CharacterDataHandler = self._characters
        expat.CommentHandler = self._comment

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, self._open, attributes)
        if any(name.count(" ") and not name.startswith(f"{XML} ") for name in attributes):
            raise Invalid("The body has an attribute in a namespace that FHIR does not use")
        if self._depth < _OPERATION_DEPTH:
            element.namespaces = self._parser.namespaces()
        self._open.children.append(element)
        self._open = element
        self._depth += 1
        if name == DIV and not self._opens_narratives:
            expat = self._parser.expat
            self._start_of_div = expat.CurrentByteIndex
            self._inside = 0
            expat.StartElementHandler = self._start_inside
            expat.EndElementHandler = self._end_inside
            expat.CharacterDataHandler = None
            expat.CommentHandler = None

    def _end(self, _name: str) -> None:
        assert self._open.parent is not None, "a tag was open"
        self._open = self._open.parent
        self._depth -= 1

    def _characters(self, text: str) -> None:
        # What stands in an operation of a patch, two levels down, may be a value: there, all counts.
        if self._depth == _OPERATION_DEPTH or self._open.is_narrative or text.strip(WHITESPACE):
            self._open.children.append(Leaf(text, self._open))

    def _comment(self, text: str) -> None:
        if self._depth == _OPERATION_DEPTH or self._open.is_narrative:
            self._open.children.append(Leaf(text, self._open, is_comment=True))

    def _start_inside(self, _name: str, _attributes: Mapping[str, str]) -> None:
        self._inside += 1

    def _end_inside(self, name: str) -> None:
        if self._inside:
            self._inside -= 1
            return
        self._open.markup = self._parser.markup(self._start_of_div, self._parser.expat.CurrentByteIndex)
        self._open.is_read = False
        self._listen()
        self._end(name)


def _attributes(element: Element) -> str:
    found = ""
    for name, value in element.attributes.items():
        namespace, _, local = name.rpartition(" ")
        assert namespace in {"", XML}, "what is put into a tree has no other"
        found += f' {"xml:" if namespace else ""}{local}="{escaped(value)}"'
    return found


def _escaped_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
