"""
When two items are equal, and which is the greater.

http://hl7.org/fhirpath/N1/#equality, http://hl7.org/fhirpath/N1/#comparison
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from decimal import Decimal
from typing import Any, Final

from fhir_server.r4.fhirpath.model import is_a
from fhir_server.r4.fhirpath.moments import MICROSECONDS_PER_DAY, interval
from fhir_server.r4.fhirpath.nodes import Collection, Node, Truth, single
from fhir_server.r4.resource import Literal, number

_MOMENTS: Final = frozenset(("date", "dateTime", "instant"))
_ZONE_EAST_MAX: Final = MICROSECONDS_PER_DAY * 14 // 24
_ZONE_WEST_MAX: Final = MICROSECONDS_PER_DAY * 12 // 24


def equal(left: Collection, right: Collection) -> Truth:
    """`left = right`: item by item, None when a side is empty or a precision leaves it open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    verdicts = [_equal_items(*pair) for pair in zip(left, right, strict=True)]
    return False if False in verdicts else (None if None in verdicts else True)


def equivalent(left: Collection, right: Collection) -> bool:
    """`left ~ right`: in any order, text without regard to case and spacing."""
    if len(left) != len(right):
        return False
    rest = [_plain(node) for node in right]
    for node in left:
        if _plain(node) not in rest:
            return False
        rest.remove(_plain(node))
    return True


def contains(collection: Collection, item: Node) -> bool:
    """Some item is equal to `item`."""
    return any(_equal_items(candidate, item) for candidate in collection)


def distinct(collection: Collection) -> Collection:
    """Without the later of two equal items."""
    if len(collection) < 2:
        return collection
    found: dict[Hashable, Node] = {}
    for node in collection:
        found.setdefault(_identity(node), node)
    return list(found.values())


def intersection(left: Collection, right: Collection) -> Collection:
    """The items of `left` that `right` has, too, each once."""
    if not left or not right:
        return []
    known = {_identity(node) for node in right}
    return distinct([node for node in left if _identity(node) in known])


def compare(left: Collection, right: Collection, holds: Callable[[int], bool]) -> Truth:
    """`left < right` and the like; None when a side is empty or the two cannot be ordered."""
    first, second = single(left), single(right)
    if first is None or second is None:
        return None
    order = _order(first, second)
    return None if order is None else holds(order)


def decimal(node: Node) -> Decimal | None:
    """The number that an item is."""
    value = node.value
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | Literal) and not isinstance(value, bool):
        return number(value)
    return None


def text_of(node: Node) -> str:
    """A primitive as text: `true`, `1.50`."""
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return bytes(node.value).decode() if isinstance(node.value, Literal) else str(node.value)


def _equal_items(left: Node, right: Node) -> Truth:
    first, second = left.value, right.value
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, str) and isinstance(second, str):
        if _are_moments(left, right):
            order = _order(left, right)
            return None if order is None else order == 0
        return first == second
    if (one := decimal(left)) is not None and (other := decimal(right)) is not None:
        return one == other
    return bool(_comparable(first) == _comparable(second))


def _order(left: Node, right: Node) -> int | None:
    if _are_moments(left, right):
        return _order_of_moments(str(left.value), str(right.value))
    if isinstance(left.value, str) and isinstance(right.value, str):
        return _sign(left.value, right.value)
    if (one := decimal(left)) is not None and (other := decimal(right)) is not None:
        return _sign(one, other)
    if is_a(left.type, "Quantity") and is_a(right.type, "Quantity"):
        return _order_of_quantities(left.value, right.value)
    return None


def _are_moments(left: Node, right: Node) -> bool:
    """Both are dates; a literal of the expression is one where the other is."""
    return left.type in _MOMENTS and right.type in _MOMENTS


def _order_of_moments(left: str, right: str) -> int | None:
    try:
        first, second = interval(left), interval(right)
    except ValueError:
        return None
    if first == second:
        return 0
    if ("T" in left) != ("T" in right):
        # A date says no time zone: that day began somewhere 14 hours before it did in UTC.
        first, second = _anywhere(left, first), _anywhere(right, second)
    if first[1] < second[0]:
        return -1
    return 1 if first[0] > second[1] else None


def _anywhere(text: str, when: tuple[int, int]) -> tuple[int, int]:
    return when if "T" in text else (when[0] - _ZONE_EAST_MAX, when[1] + _ZONE_WEST_MAX)


def _order_of_quantities(left: Any, right: Any) -> int | None:
    if not isinstance(left, dict) or not isinstance(right, dict):
        return None
    unit = [(side.get("system"), side.get("code", side.get("unit"))) for side in (left, right)]
    values = [decimal(Node("decimal", side.get("value"))) for side in (left, right)]
    if unit[0] != unit[1] or values[0] is None or values[1] is None:
        return None
    return _sign(values[0], values[1])


def _identity(node: Node) -> Hashable:
    """The same for two items exactly if they are equal, and hashable: sets may be large."""
    value = node.value
    if isinstance(value, str) and node.type in _MOMENTS:
        try:
            return interval(value)
        except ValueError:
            return value
    return _frozen(node.companion if value is None else value)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return frozenset([(name, _frozen(child)) for name, child in value.items()])
    if isinstance(value, list):
        return tuple([_frozen(child) for child in value])
    if isinstance(value, bool):
        # Python's True equals 1.
        return ("boolean", value)
    return number(value) if isinstance(value, Literal) else value


def _sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _comparable(value: Any) -> Any:
    """Numbers by value at any depth: 1.0 in one object equals 1.00 in another."""
    if isinstance(value, dict):
        return {name: _comparable(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_comparable(child) for child in value]
    return number(value) if isinstance(value, Literal) else value


def _plain(node: Node) -> Any:
    if isinstance(node.value, str):
        return " ".join(node.value.casefold().split())
    value = decimal(node)
    return _comparable(node.value) if value is None else value
