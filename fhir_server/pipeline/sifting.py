"""
A page of a search that joins much on both sides: candidates in their order, sifted as they come.

`Patient?_has:Observation:patient:code=8867-4` is true of half of all patients: to find them all first would
take minutes, to find fifty takes a hundred looks. So what the rest of the search leaves is read in its
order, some at a time, and of each some those are kept for which the questions are true. A page looks at
`join_matches_max` candidates at most; where these are not enough it has fewer matches, and its link
goes on behind the last one that was looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from fhir_server.pipeline.settling import Settling
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.store.pages import Page, page_of
from fhir_server.store.positions import Position

AT_ONCE: Final = 200
"""Candidates that are judged together."""

Candidates = Callable[[Position | None, int], Awaitable[Page]]
"""A page of candidates from a position, so many at most, with their tokens."""


class Sifting:
    """Reads one page, in either direction."""

    def __init__(
        self, settling: Settling, predicate: Predicate, types: frozenset[str], candidates: Candidates
    ) -> None:
        self._settling = settling
        self._predicate = predicate
        self._types = types
        self._candidates = candidates

    async def page(self, after: Position | None, count: int, candidates_max: int) -> Page:
        """Up to `count` matches from `after`."""
        back = after is not None and after.back
        kept: list[_Kept] = []
        place, looked = after, 0
        while True:
            page = await self._candidates(place, min(AT_ONCE, candidates_max - looked))
            looked += len(page.versions)
            kept += await self._judged(page, back=back)
            place = page.previous if back else page.next
            if len(kept) > count or place is None or len(kept) == count or looked >= candidates_max:
                break
        onward = kept[count - 1].onward if len(kept) > count else _as_gap(place)
        return page_of([(one.version, one.gap) for one in kept[:count]], after, onward)

    async def _judged(self, page: Page, *, back: bool) -> list[_Kept]:
        """Those that match, in the order of reading."""
        if not page.versions:
            return []
        keys = [str(version.key) for version in page.versions]
        predicate = await self._settling.judged(self._predicate, self._types, keys)
        # Read backwards, what lies before an entry comes behind it.
        onward = [_as_gap(page.previous), *page.gaps[:-1]] if back else page.gaps
        judged = [
            _Kept(version, gap, beyond)
            for version, gap, beyond in zip(page.versions, page.gaps, onward, strict=True)
            if matches(predicate, version)
        ]
        return judged[::-1] if back else judged


class _Kept(NamedTuple):
    """A match, the gap behind it, and the gap at which reading goes on after it (None: there is no more)."""

    version: Version
    gap: Position
    onward: Position | None


def _as_gap(place: Position | None) -> Position | None:
    """The position without the direction in which it is read."""
    return place.turned if place is not None and place.back else place
