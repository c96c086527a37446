"""
JSON Patch: all or nothing, in order, the six operations of RFC 6902.

Numbers are compared by value, as the RFC says, and kept as they were written. A patch that is
not written as it should be is Invalid; one that does not fit this resource (a pointer that
leads nowhere, a `test` that fails) is Unprocessable; each says which operation it was. What is
copied is bounded: fifty lines that double a resource would otherwise fill the memory.

https://www.rfc-editor.org/rfc/rfc6902, https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.r4.errors import Invalid, TooLarge, Unprocessable
from fhir_server.r4.patch.draft import OPERATIONS_MAX, Draft
from fhir_server.r4.patch.faults import Misfit, Misstated
from fhir_server.r4.patch.pointer import NoSuchPlace, Pointer, place_for, pointer, step_in, steps_to
from fhir_server.r4.resource import Literal, Resource, json_value, number

COPIED_CHARACTERS_MAX: Final = 4_000_000
"""What all operations `copy` of a patch may add, counted as JSON text, roughly."""


def json_patch(resource: Resource, text: bytes) -> dict[str, Any]:
    """
    What the patch in `text` makes of `resource`, which stays as it is.

    Raises Invalid, Unprocessable, or TooLarge when it copies too much. The result is JSON; whether
    it is a valid resource is not judged here.
    """
    operations = json_value(text)
    if not isinstance(operations, list):
        raise Invalid("A JSON Patch is a JSON array of operations")
    if len(operations) > OPERATIONS_MAX:
        raise TooLarge(f"The patch has more than {OPERATIONS_MAX} operations")
    patching = _Patching(resource)
    for index, operation in enumerate(operations):
        try:
            _apply(operation, patching)
        except Misstated as fault:
            raise Invalid(f"operation[{index}] {fault}") from fault
        except Misfit as fault:
            raise Unprocessable(f"operation[{index}] {fault}") from fault
    return patching.draft.result()


class _Patching:
    """The document so far, and how much may still be copied."""

    def __init__(self, resource: Resource) -> None:
        self.draft = Draft(resource)
        self.copyable = COPIED_CHARACTERS_MAX


Members = Mapping[str, Any]
"""Of one operation; those that its name does not call for are ignored, as the RFC says."""


def _apply(members: object, patching: _Patching) -> None:
    if not isinstance(members, dict):
        raise Misstated("is not a JSON object")
    name = members.get("op")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise Misstated(f"has no `op` that is one of {', '.join(_OPERATIONS)}")
    try:
        _OPERATIONS[name](members, patching)
    except NoSuchPlace as nowhere:
        raise Misfit(f"({name}) leads to a place that is not there") from nowhere


def _add(members: Members, patching: _Patching) -> None:
    _put(patching.draft, _pointer(members, "path"), _value(members))


def _remove(members: Members, patching: _Patching) -> None:
    _take(patching.draft, _pointer(members, "path"))


def _replace(members: Members, patching: _Patching) -> None:
    draft, path, value = patching.draft, _pointer(members, "path"), _value(members)
    if not path.tokens:
        draft.root = value
        return
    *parent, last = steps_to(draft.root, path.tokens)
    draft.writable(parent)[last] = value


def _move(members: Members, patching: _Patching) -> None:
    source, path = _pointer(members, "from"), _pointer(members, "path")
    if source == path:
        steps_to(patching.draft.root, path.tokens)
        return
    if path.tokens[: len(source.tokens)] == source.tokens:
        raise Misstated("(move) puts a value into itself")
    _put(patching.draft, path, _take(patching.draft, source))


def _copy(members: Members, patching: _Patching) -> None:
    draft, path = patching.draft, _pointer(members, "path")
    value = _value_at(draft, _pointer(members, "from"))
    patching.copyable -= _characters(value, patching.copyable)
    if patching.copyable < 0:
        raise TooLarge(f"The patch copies more than {COPIED_CHARACTERS_MAX} characters")
    draft.share()
    _put(draft, path, value)


def _test(members: Members, patching: _Patching) -> None:
    path = _pointer(members, "path")
    if not _equal(_value_at(patching.draft, path), _value(members)):
        raise Misfit(f"(test) expects another value at {path}")


_OPERATIONS: Final[Mapping[str, Callable[[Members, _Patching], None]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _pointer(members: Members, name: str) -> Pointer:
    text = members.get(name)
    found = pointer(text) if isinstance(text, str) else None
    if found is None:
        raise Misstated(f"({members['op']}) has no `{name}` that is a JSON Pointer")
    return found


def _value(members: Members) -> Any:
    """The value; null is one."""
    if "value" not in members:
        raise Misstated(f"({members['op']}) has no `value`")
    return members["value"]


def _value_at(draft: Draft, path: Pointer) -> Any:
    value = draft.root
    for token in path.tokens:
        value = value[step_in(value, token)]
    return value


def _put(draft: Draft, path: Pointer, value: Any) -> None:
    if not path.tokens:
        draft.root = value
        return
    *parent, last = path.tokens
    steps = steps_to(draft.root, tuple(parent))
    around = _value_at(draft, Pointer(tuple(parent)))
    if isinstance(around, dict):
        draft.writable(steps)[last] = value
    elif isinstance(around, list):
        draft.writable(steps).insert(place_for(around, last), value)
    else:
        raise NoSuchPlace


def _take(draft: Draft, path: Pointer) -> Any:
    if not path.tokens:
        whole, draft.root = draft.root, None
        return whole
    *parent, last = steps_to(draft.root, path.tokens)
    return draft.writable(parent).pop(last)


def _equal(left: Any, right: Any) -> bool:
    """https://www.rfc-editor.org/rfc/rfc6902#section-4.6; `right` is of the patch, so not deep."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if _is_number(left) and _is_number(right):
        return number(left) == number(right)
    # true is 1 to Python, and not to JSON.
    return type(left) is type(right) and bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Literal) and not isinstance(value, bool)


def _characters(value: Any, enough: int) -> int:
    """About how long the value is as JSON; counting stops beyond `enough`."""
    count = 0
    open_values = [value]
    while open_values and count <= enough:
        match open_values.pop():
            case dict() as members:
                count += 2 + sum(len(name) + 4 for name in members)
                open_values.extend(members.values())
            case list() as items:
                count += 2 + len(items)
                open_values.extend(items)
            case str() as text:
                count += 2 + len(text)
            case Literal() as literal:
                count += len(bytes(literal))
            case _:
                count += 4
    return count
