"""
The search parameters beside R4's own as this process knows them, never older than the database's epoch.

A request begins with the catalogue that is known. Each request looks at the epoch once anyway, on its way;
when that has moved, the catalogue is read again, and what was understood by the older one is asked anew.
So a search parameter that somebody has declared or removed before a request is never overlooked by it,
whichever process took it, and nobody pays for it who would not have looked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol, TypeVar

from fhir_server.operations.reindex import done_of
from fhir_server.r4.errors import FhirError, Invalid, Unavailable
from fhir_server.r4.interaction import Parameters
from fhir_server.search.declared.catalogue import Catalogue, Declared, in_force
from fhir_server.store.epoch import Epoch
from fhir_server.store.store import Store
from fhir_server.store.unit import Moved

Result = TypeVar("Result")

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NAMING: Final = ("_sort", "_include", "_revinclude", "_has", "_filter")
"""Parameters whose values name others."""


class SearchParameters:
    """The catalogue in force, kept up to date."""

    def __init__(self, store: Store) -> None:
        self.catalogue = Catalogue()
        self._store = store
        self._refreshing = asyncio.Lock()

    async def as_of(self, epoch: Epoch) -> None:
        """Make the catalogue at least as new as `epoch`."""
        async with self._refreshing:
            if epoch.parameters > self.catalogue.epoch:
                self.catalogue = await self._store.catalogue()

    async def explained(self, refusal: FhirError, asked: Iterable[Parameters]) -> FhirError:
        """The refusal of a search; one by a parameter that is being built says how far it is."""
        if not isinstance(refusal, Unavailable):
            return refusal
        words = {word for parameters in asked for word in _words(parameters)}
        building = [one for one in self.catalogue.building if one.code in words]
        if not building:
            return refusal
        return Unavailable(await self._progress(building[0]))

    async def _progress(self, one: Declared) -> str:
        passes = await self._store.passes.all()
        standing = (await self._store.passes.standings()).get(one.id)
        if standing is not None and standing.status == "failed":
            return f"The search parameter `{one.code}` could not be indexed: see its $reindex-status"
        numbers = standing.passes if standing is not None else {}
        waited_for = [passes[name] for name in numbers if name in passes]
        done = sum(done_of(each, numbers[each.type]) for each in waited_for)
        total = sum(each.total for each in waited_for)
        # How many there are is not said: not all of them may be the caller's to know.
        # What is written meanwhile is done, too, and was not counted.
        percent = min(99, 100 * done // total) if total else 0
        return f"The search parameter `{one.code}` is being indexed, {percent} % is done: ask again later"


def _words(parameters: Parameters) -> Iterable[str]:
    for name, value in parameters:
        yield from _WORD.findall(name)
        if name.partition(":")[0] in _NAMING:
            yield from _WORD.findall(value)


class Agreed(Protocol):
    """Whoever can make what this process knows as new as the database."""

    async def refreshed(self) -> None: ...


async def by_the_newest(
    attempt: Callable[[], Awaitable[Result]],
    agreed: Agreed,
    parameters: SearchParameters,
    asked: Parameters,
) -> Result:
    """
    What `attempt` comes to by the search parameters in force; it may raise Moved to be made again.

    A refusal stands when nothing was declared meanwhile.
    """
    while True:
        known = in_force()
        try:
            return await attempt()
        except Moved:
            continue
        except FhirError as refusal:
            if refusal.recorded or not isinstance(refusal, Invalid | Unavailable):
                raise
            await agreed.refreshed()
            if in_force() is known:
                explained = await parameters.explained(refusal, (asked,))
                if explained is refusal:
                    raise
                raise explained from refusal
