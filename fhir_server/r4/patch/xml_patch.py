"""
XML Patch: add, replace and remove, in order, all or nothing, over the resource's XML form.

What a patch leaves is read as any XML of a client: an element in the wrong place of R4's order,
or one that is left empty, is refused. White space between elements is no part of a resource, so
`ws` finds some in narratives alone. What is not touched keeps its digits, and a narrative its
text. A selector must select one node (`xml_selector.py`).

https://www.rfc-editor.org/rfc/rfc5261, https://www.rfc-editor.org/rfc/rfc7351,
https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.r4.errors import Invalid, NotAcceptable, TooLarge, Unprocessable
from fhir_server.r4.patch.draft import OPERATIONS_MAX
from fhir_server.r4.patch.faults import Misfit, Misstated
from fhir_server.r4.patch.xml_selector import Attribute, Budget, Target, locate, selector
from fhir_server.r4.resource import Resource
from fhir_server.r4.xml import from_xml, to_xml
from fhir_server.r4.xml.parser import WHITESPACE
from fhir_server.r4.xml.tree import XML, Element, Leaf, Node, read_tree, write_tree


def xml_patch(resource: Resource, patch: bytes) -> dict[str, Any]:
    """
    What the patch makes of `resource`, which stays as it is.

    Raises Invalid, Unprocessable, or TooCostly when the selectors have to look at too much. The
    result has only elements of R4, in its order; whether it is valid is not judged here.
    """
    operations = _operations(patch)
    try:
        document = read_tree(to_xml(resource))
    except NotAcceptable as error:
        raise Unprocessable("The resource cannot be patched as XML", issues=error.issues) from error
    budget = Budget()
    for index, operation in enumerate(operations):
        kind = _local(operation)
        try:
            _KINDS[kind](operation, document, budget)
        except Misstated as fault:
            raise Invalid(f"`operation[{index}] ({kind})` {fault}") from fault
        except Misfit as fault:
            raise Unprocessable(f"`operation[{index}] ({kind})` {fault}") from fault
    return _result(document)


def _operations(patch: bytes) -> list[Element]:
    (root,) = read_tree(patch).children
    assert isinstance(root, Element), "a document has a root element"
    namespace, _, local = root.name.rpartition(" ")
    if local not in {"diff", "patch"}:
        raise Invalid("An XML Patch is a `diff` or `patch` element with operations")
    operations = [node for node in root.children if isinstance(node, Element)]
    for index, operation in enumerate(operations):
        if _local(operation) not in _KINDS or operation.name.rpartition(" ")[0] != namespace:
            names = ", ".join(_KINDS)
            raise Invalid(f"`operation[{index}]` is not one of {names} in the namespace of the patch itself")
    if len(operations) != len(root.children):
        raise Invalid("An XML Patch has no text between its operations")
    if len(operations) > OPERATIONS_MAX:
        raise TooLarge(f"The patch has more than {OPERATIONS_MAX} operations")
    return operations


def _result(document: Element) -> dict[str, Any]:
    if [isinstance(node, Element) for node in document.children] != [True]:
        raise Unprocessable("What the patch leaves is not one resource")
    try:
        return from_xml(write_tree(document))
    except Invalid as error:
        raise Unprocessable("What the patch leaves is not a resource", issues=error.issues) from error


def _add(operation: Element, document: Element, budget: Budget) -> None:
    given = _given(operation, {"sel", "pos", "type"})
    target = _target(operation, document, budget)
    kind, place = given.get("type"), given.get("pos")
    if place not in {None, "append", "prepend", "before", "after"}:
        raise Misstated("must have `pos` before, after or prepend, or none to append")
    if kind is not None:
        if place is not None:
            raise Misstated("must not have both `type` and `pos`")
        _add_attribute(operation, kind, target)
    elif isinstance(target, Attribute):
        raise Misstated("cannot add to an attribute")
    elif place in {"before", "after"}:
        parent = _parent(target)
        at = _index(parent, target) + (place == "after")
        _insert(operation, parent, at)
    elif isinstance(target, Element):
        _insert(operation, target, 0 if place == "prepend" else len(target.children))
    else:
        raise Misstated("can add before or after text and comments only")


def _add_attribute(operation: Element, kind: str, target: Target) -> None:
    if not kind.startswith("@"):
        raise Misstated("must have `type` with an attribute, such as `@value`: FHIR uses no other")
    prefix, _, name = kind[1:].rpartition(":")
    if not name or prefix not in {"", "xml"}:
        raise Misstated("must add an attribute that is in no namespace")
    name = f"{XML} {name}" if prefix else name
    text = _text(operation)
    if not isinstance(target, Element) or target.parent is None:
        raise Misfit("adds an attribute to what is no element")
    if name in target.attributes:
        raise Misfit("adds an attribute that is already there")
    target.touch()
    target.attributes[name] = text


def _replace(operation: Element, document: Element, budget: Budget) -> None:
    _given(operation, {"sel"})
    target = _target(operation, document, budget)
    match target:
        case Attribute(element, name):
            text = _text(operation)
            element.touch()
            element.attributes[name] = text
        case Leaf(is_comment=False):
            text = _text(operation)
            target.parent.touch()
            target.text = text
        case _:
            node = _like(target, operation)
            parent = _parent(target)
            at = _index(parent, target)
            parent.touch()
            parent.children[at] = _moved(node, parent)


def _like(target: Node, operation: Element) -> Node:
    """The one node that the operation holds: an element for an element, a comment for a comment."""
    is_element = isinstance(target, Element)
    is_left_out = _is_ignored if is_element else _is_formatting
    content = [node for node in operation.children if not is_left_out(node)]
    if [isinstance(node, Element) for node in content] != [is_element]:
        raise Misstated("must hold one node, of the kind that it replaces")
    (node,) = content
    if isinstance(node, Leaf) and not node.is_comment:
        raise Misstated("must hold one node, of the kind that it replaces")
    return node


def _remove(operation: Element, document: Element, budget: Budget) -> None:
    given = _given(operation, {"sel", "ws"})
    if not all(_is_formatting(node) for node in operation.children):
        raise Misstated("must be empty")
    target = _target(operation, document, budget)
    sides = _SIDES.get(given.get("ws"))
    if sides is None:
        raise Misstated("must have `ws` before, after or both, or none")
    if isinstance(target, Attribute):
        target.element.touch()
        del target.element.attributes[target.name]
        return
    parent = _parent(target)
    at = _index(parent, target)
    parent.touch()
    around = [at + side for side in sides if 0 <= at + side < len(parent.children)]
    gone = {at, *(place for place in around if _is_formatting(parent.children[place]))}
    parent.children[:] = [node for place, node in enumerate(parent.children) if place not in gone]


_SIDES: Final[Mapping[str | None, tuple[int, ...]]] = {
    None: (),
    "before": (-1,),
    "after": (1,),
    "both": (-1, 1),
}

_Kind = Callable[[Element, Element, Budget], None]

_KINDS: Final[Mapping[str, _Kind]] = {"add": _add, "replace": _replace, "remove": _remove}


def _given(operation: Element, known: set[str]) -> Mapping[str, str]:
    if not operation.attributes.keys() <= known:
        raise Misstated(f"must have no attributes but {', '.join(sorted(known))}")
    return operation.attributes


def _target(operation: Element, document: Element, budget: Budget) -> Target:
    if "sel" not in operation.attributes:
        raise Misstated("must have a selector, `sel`")
    return locate(document, selector(operation.attributes["sel"], operation.namespaces), budget)


def _insert(operation: Element, parent: Element, at: int) -> None:
    """All that the operation holds; between FHIR's elements, without its formatting."""
    content = [node for node in operation.children if parent.is_narrative or not _is_ignored(node)]
    if not content:
        raise Misstated("must hold what it adds")
    parent.touch()
    parent.children[at:at] = [_moved(node, parent) for node in content]


def _moved(node: Node, parent: Element) -> Node:
    node.parent = parent
    return node


def _text(operation: Element) -> str:
    """The text that the operation holds, as it is."""
    if any(isinstance(node, Element) for node in operation.children):
        raise Misstated("must hold text alone")
    return "".join(operation.text())


def _parent(target: Element | Leaf) -> Element:
    if target.parent is None:
        raise Misfit("cannot be done to the document itself")
    return target.parent


def _index(parent: Element, target: Node) -> int:
    return next(place for place, node in enumerate(parent.children) if node is target)


def _is_formatting(node: Node) -> bool:
    return isinstance(node, Leaf) and not node.is_comment and not node.text.strip(WHITESPACE)


def _is_ignored(node: Node) -> bool:
    """Is it no part of a resource, where FHIR's elements are?"""
    return _is_formatting(node) or (isinstance(node, Leaf) and node.is_comment)


def _local(element: Element) -> str:
    return element.name.rpartition(" ")[2]
