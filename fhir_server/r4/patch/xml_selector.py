"""
The selectors of XML Patch: a small part of XPath, read and judged here, within bounds.

A selector is a path of element names from the document (`f:Patient/f:name[2]/f:given`, `*` for
any name), or from `id('...')`, which is the element with that `id` attribute. Each step may have
predicates: a position, `[@use='official']`, `[h:b='text']`, `[.='text']`. What RFC 5261 does not
have, and FHIR needs because its values are attributes, is a path in a predicate:
`[f:system/@value='phone']`. The last step may be an attribute, `text()` or `comment()`.

Names without a prefix are in the default namespace of the patch, as the RFC wants it. What
XPath has beyond that (`//`, axes, functions, `or`) is refused.

https://www.rfc-editor.org/rfc/rfc5261#section-4.1, https://www.rfc-editor.org/rfc/rfc5261#section-4.2
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.r4.errors import TooCostly
from fhir_server.r4.patch.faults import Misfit, Misstated
from fhir_server.r4.xml.tree import XML, Element, Leaf, Node

SELECTOR_CHARACTERS_MAX: Final = 2_000
STEPS_MAX: Final = 100
"""Steps of one selector, those in predicates and the predicates themselves included."""
VISITS_MAX: Final = 3_000_000
"""Nodes that all selectors of one patch may look at: about a second."""

_NAME: Final = r"[^\W\d][\w.\-]*"
_TOKEN: Final = re.compile(
    rf"\s*(?:(?P<position>\d{{1,9}})|(?P<name>{_NAME}(?::{_NAME})?)|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<mark>[/\[\]@=.*()]))\s*"
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that is there."""

    element: Element
    name: str


Target = Element | Leaf | Attribute


@dataclass(slots=True)
class Budget:
    """How many nodes may still be looked at."""

    visits: int = VISITS_MAX

    def spend(self, count: int) -> None:
        self.visits -= count
        if self.visits < 0:
            raise TooCostly(f"The patch has to look at more than {VISITS_MAX} nodes")


@dataclass(frozen=True, slots=True)
class _Named:
    """Child elements; None is any."""

    name: str | None


@dataclass(frozen=True, slots=True)
class _Leaves:
    is_comment: bool


@dataclass(frozen=True, slots=True)
class _OfId:
    id: str


@dataclass(frozen=True, slots=True)
class _Position:
    place: int


@dataclass(frozen=True, slots=True)
class _Equal:
    """Some node at the end of the path has this text; without names or attribute, the node itself."""

    names: tuple[str | None, ...]
    attribute: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Step:
    test: _Named | _Leaves | _OfId
    predicates: tuple[_Position | _Equal, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """`attribute` is the last step where that is one."""

    steps: tuple[_Step, ...]
    attribute: str | None
    has_namespace: bool


def selector(text: str, namespaces: Mapping[str | None, str]) -> Selector:
    """The selector written in `text`; raises Misstated where it is none, or too long."""
    if len(text) > SELECTOR_CHARACTERS_MAX:
        raise Misstated(f"has a selector of more than {SELECTOR_CHARACTERS_MAX} characters")
    return _Syntax(text, namespaces).selector()


def locate(document: Element, wanted: Selector, budget: Budget) -> Target:
    """The one node that is selected; raises Misfit when there is none, or more than one."""
    found: list[Node] = [document]
    for step in wanted.steps:
        found = [node for parent in found for node in _select(parent, step, budget)]
    targets: list[Target] = [*found]
    if wanted.attribute is not None:
        targets = [
            Attribute(node, wanted.attribute)
            for node in found
            if isinstance(node, Element) and wanted.attribute in node.attributes
        ]
    if len(targets) == 1:
        return targets[0]
    if targets:
        raise Misfit(f"selects {len(targets)} nodes, and must select one")
    hint = (
        "" if wanted.has_namespace else ": its names are in no namespace, FHIR's are in http://hl7.org/fhir"
    )
    raise Misfit(f"selects nothing{hint}")


def _select(parent: Node, step: _Step, budget: Budget) -> list[Node]:
    found = list(_tested(parent, step.test, budget))
    for predicate in step.predicates:
        budget.spend(len(found))
        match predicate:
            case _Position(place):
                found = found[place - 1 : place]
            case _Equal():
                found = [node for node in found if _is_equal(node, predicate, budget)]
    return found


def _tested(parent: Node, test: _Named | _Leaves | _OfId, budget: Budget) -> Iterator[Node]:
    if isinstance(parent, Leaf):
        return
    match test:
        case _Named(name):
            budget.spend(len(parent.children))
            for node in parent.children:
                if isinstance(node, Element) and name in {None, node.name}:
                    yield node
        case _Leaves(is_comment):
            budget.spend(len(parent.children))
            for node in parent.children:
                if isinstance(node, Leaf) and node.is_comment == is_comment:
                    yield node
        case _OfId(id):
            waiting = [parent]
            while waiting:
                element = waiting.pop()
                budget.spend(1 + len(element.children))
                if element.attributes.get("id") == id:
                    yield element
                waiting.extend(child for child in reversed(element.children) if isinstance(child, Element))


def _is_equal(node: Node, wanted: _Equal, budget: Budget) -> bool:
    found = [node]
    for name in wanted.names:
        found = [child for parent in found for child in _tested(parent, _Named(name), budget)]
    return any(text == wanted.text for text in _texts(found, wanted.attribute, budget))


def _texts(nodes: Iterable[Node], attribute: str | None, budget: Budget) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Leaf):
            yield node.text
        elif attribute is not None:
            if attribute in node.attributes:
                yield node.attributes[attribute]
        else:
            parts = list(node.text())
            budget.spend(len(parts))
            yield "".join(parts)


class _Syntax:
    """A recursive descent that does not recurse: paths in predicates have no predicates."""

    def __init__(self, text: str, namespaces: Mapping[str | None, str]) -> None:
        self._tokens = list(_tokens(text))
        self._namespaces = namespaces
        self._at = 0
        self._steps = 0
        self._has_namespace = False

    def selector(self) -> Selector:
        steps: list[_Step] = []
        attribute = None
        self._take("/")
        while attribute is None:
            if steps and isinstance(steps[-1].test, _Leaves):
                raise Misstated("has a selector that goes on after text() or comment()")
            if steps and self._take("@"):
                attribute = self._attribute()
            else:
                steps.append(self._step(is_first=not steps))
            if not self._take("/"):
                break
        if self._at < len(self._tokens):
            raise Misstated("has a selector that is not one of RFC 5261")
        return Selector(tuple(steps), attribute, self._has_namespace)

    def _step(self, *, is_first: bool) -> _Step:
        test = self._test(is_first=is_first)
        predicates: list[_Position | _Equal] = []
        while self._take("["):
            self._count()
            predicates.append(self._predicate())
            self._expect("]")
        return _Step(test, tuple(predicates))

    def _test(self, *, is_first: bool) -> _Named | _Leaves | _OfId:
        self._count()
        if self._take("*"):
            self._has_namespace = True
            return _Named(None)
        name = self._token("name")
        if not self._take("("):
            return _Named(self._element(name))
        if is_first and name == "id":
            text = self._token("text")[1:-1]
            self._expect(")")
            self._has_namespace = True
            return _OfId(text)
        self._expect(")")
        if name not in {"text", "comment"} or is_first:
            raise Misstated(f"has a selector with a function that is not one of {_FUNCTIONS}")
        return _Leaves(name == "comment")

    def _predicate(self) -> _Position | _Equal:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "position":
            place = int(self._token("position"))
            if place == 0:
                raise Misstated("has a selector with a position 0: they count from 1")
            return _Position(place)
        names: list[str | None] = []
        attribute = None
        if not self._take("."):
            while attribute is None:
                if self._take("@"):
                    attribute = self._attribute()
                else:
                    self._count()
                    names.append(None if self._take("*") else self._element(self._token("name")))
                if not self._take("/"):
                    break
        self._expect("=")
        return _Equal(tuple(names), attribute, self._token("text")[1:-1])

    def _element(self, name: str) -> str:
        prefix, _, local = name.rpartition(":")
        namespace = self._namespace(prefix) if prefix else self._namespaces.get(None, "")
        self._has_namespace = self._has_namespace or bool(namespace)
        return f"{namespace} {local}" if namespace else local

    def _attribute(self) -> str:
        """Without a prefix it has no namespace, whatever the default is."""
        self._count()
        prefix, _, local = self._token("name").rpartition(":")
        return f"{self._namespace(prefix)} {local}" if prefix else local

    def _namespace(self, prefix: str) -> str:
        if prefix == "xml":
            return XML
        if prefix not in self._namespaces:
            raise Misstated("has a selector with a prefix that the patch does not declare")
        return self._namespaces[prefix]

    def _count(self) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise Misstated(f"has a selector of more than {STEPS_MAX} steps")

    def _take(self, mark: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise Misstated(f"has a selector that lacks a `{mark}`")

    def _token(self, kind: str) -> str:
        if self._at == len(self._tokens) or self._tokens[self._at][0] != kind:
            raise Misstated(f"has a selector that lacks a {kind}")
        self._at += 1
        return self._tokens[self._at - 1][1]


_FUNCTIONS: Final = "id('...') at its beginning, text() and comment() at its end"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise Misstated("has a selector with a character that selectors do not have")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()
