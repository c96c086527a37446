"""
A resource while it is changed.

What came in is never touched: an object or array is copied the first time that something in it
changes, and everything else is shared with the original, literals included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.resource import DEPTH_MAX, Resource, is_deeper

OPERATIONS_MAX: Final = 1_000
"""How many operations a patch may have, of whatever kind."""

Step = str | int
"""A member of an object or a place in an array."""


class Draft:
    """`root` is the state so far. Read it freely; write only to what `writable` gives."""

    def __init__(self, resource: Resource) -> None:
        self.root: Any = resource
        # By identity, and kept, so that no identity is used again while this lives.
        self._copies: dict[int, dict[str, Any] | list[Any]] = {}

    def writable(self, steps: Sequence[Step]) -> Any:
        """The object or array that `steps`, which must exist, lead to: safe to change."""
        container = self.root = self._own(self.root)
        for step in steps:
            container[step] = self._own(container[step])
            container = container[step]
        return container

    def share(self) -> None:
        """Something now stands in two places: what was copied so far must be copied again."""
        self._copies.clear()

    def result(self) -> dict[str, Any]:
        """
        The resource, changed; what was not changed it shares with the original.

        Raises Unprocessable when it is none, or is nested too deep.
        """
        if not isinstance(self.root, dict):
            raise Unprocessable("What the patch leaves is not a resource")
        if is_deeper(self.root, DEPTH_MAX):
            raise Unprocessable(f"What the patch leaves is nested deeper than {DEPTH_MAX} levels")
        whole: dict[str, Any] = self.writable(())
        return whole

    def _own(self, container: Any) -> Any:
        if id(container) in self._copies:
            return container
        copy = container.copy()
        self._copies[id(copy)] = copy
        return copy
