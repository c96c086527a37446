"""
What a search asks about codes. Whoever answers it may be this server's own store or another service.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from typing import Protocol

from terminology.codes import Codes


class Terminology(Protocol):
    """
    Exact answers or refusals.

    Each raises Invalid for what is not known, or not to the caller; Unsupported, with the reason, for
    what cannot be told exactly; TooCostly beyond its limits; Forbidden without a scope.
    """

    async def expansion(self, value_set: str) -> Codes:
        """The codes of a value set, named by its canonical URL (`|version`) or as `ValueSet/id`."""

    async def below(self, system: str, code: str) -> Codes:
        """The code and those that it subsumes."""

    async def above(self, system: str, code: str) -> Codes:
        """The code and those that subsume it."""
