"""
The versions that references name: `Patient/1/_history/2` includes version 2 of Patient/1.

A resource is looked for as any other that is included, so it must be there, and seen as it is now; as a read
of a version asks (pipeline/reading.py). In its place comes the version that is referred to, where that is
there and seen, too. Else the current one comes: what is hidden looks like what never was.

https://hl7.org/fhir/R4/search.html#versions
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from fhir_server.pipeline.releasing import Releasing
from fhir_server.r4.resource import Key
from fhir_server.search.asking.includes import Referred
from fhir_server.search.predicates.version import Version
from fhir_server.store.store import Store

_READ_AT_ONCE: Final = 50


class ReferredVersions:
    """Those that one page includes, as it is being found: mutable, made for one run."""

    def __init__(self, store: Store, releasing: Releasing) -> None:
        self._store = store
        self._releasing = releasing
        self._asked: set[Referred] = set()
        self._numbers: dict[Key, set[int]] = defaultdict(set)

    def new(self, referred: Iterable[Referred]) -> list[Key]:
        """The keys of what was not asked for before, which now it is."""
        found = [one for one in referred if one not in self._asked]
        self._asked.update(found)
        for one in found:
            if one.number is not None:
                self._numbers[one.key].add(one.number)
        return [one.key for one in found]

    def know(self, versions: Iterable[Version]) -> None:
        """These need not be asked for any more, neither as they are now nor by their number."""
        for version in versions:
            self._asked |= {Referred(version.key), Referred(version.key, version.number)}

    async def in_place_of(
        self, found: Sequence[Version], *, beside: bool
    ) -> AsyncIterator[Sequence[Version]]:
        """
        What is referred to of `found`, which are current, some at a time.

        With `beside` the current ones come too, whether or not they are referred to.
        """
        named: list[tuple[Version, int]] = []
        plain: list[Version] = []
        for version in found:
            numbers = sorted(self._numbers.get(version.key, ()))
            named += [(version, number) for number in numbers]
            if beside or not numbers or Referred(version.key) in self._asked:
                plain.append(version)
        self.know(plain)
        yield plain
        for start in range(0, len(named), _READ_AT_ONCE):
            some = named[start : start + _READ_AT_ONCE]
            yield await asyncio.gather(*(self._referred(version, number) for version, number in some))

    async def _referred(self, current: Version, number: int) -> Version:
        if number == current.number:
            return current
        older = await self._store.version(current.key, number)
        return current if older is None or older.deleted or not self._releasing.sees(older) else older
