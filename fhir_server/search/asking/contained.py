"""
What cannot be asked for beside `_contained`: refused by name, since it would have another meaning there.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.r4.errors import Unsupported
from fhir_server.r4.interaction import Search
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.asking.filter_criteria import FILTER
from fhir_server.search.asking.includes import INCLUDES
from fhir_server.search.asking.results import total_of
from fhir_server.search.asking.text import asks_for_words

_ORDERS: Final = frozenset(("_lastUpdated", "-_lastUpdated"))
"""What is the same of a resource and of what it is contained in; and the default, which is no `_sort`."""


def refuse_beside_contained(
    search: Search, given: Mapping[str, str], types: tuple[str, ...], count: int
) -> None:
    """Raises Unsupported. `given` are the result parameters, `count` matches make a page."""
    if search.compartment is not None:
        raise _unsupported("a compartment has no contained resources")
    if LOGGED in types:
        raise _unsupported("AuditEvents contain nothing")
    for name, value in search.parameters:
        if name == FILTER or asks_for_words(name) or name.partition(":")[0] in INCLUDES:
            raise _unsupported(f"`{name[:64]}` is not asked of contained resources")
        if name == "_sort" and value not in _ORDERS:
            raise _unsupported("what it finds is sorted by `_lastUpdated` alone")
    if given.get("_containedType") == "contained" and total_of(given, count) != "none":
        raise _unsupported("contained resources are counted by what contains them")


def _unsupported(reason: str) -> Unsupported:
    return Unsupported(f"`_contained`: {reason}")
