"""
A page of a search and its total, by whichever way takes less.

Most searches ask of each entry alone, and the store answers. Those that ask of other resources too
are settled first (settling.py) where that takes little; else a page is sifted from candidates
(sifting.py), unless these would be too many and settling is still within its limit.
"""

from __future__ import annotations

from typing import Final

from fhir_server.pipeline.admission import all_types
from fhir_server.pipeline.auditing import audit_page, audit_total
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.settling import Settling, relaxed
from fhir_server.pipeline.sifting import Sifting
from fhir_server.r4.errors import TooCostly
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.asking.query import Query
from fhir_server.search.predicates.predicate import Predicate, WithId, all_of
from fhir_server.search.predicates.rewriting import asks_elsewhere
from fhir_server.store.explaining import stage
from fhir_server.store.orders import indexed_order
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position

_CANDIDATES_FIRST: Final = 2_000
"""Candidates that are sifted before a search that joins much is settled after all."""


class Finding:
    """Answers one query within `visible`, which is what the caller may see."""

    def __init__(
        self, query: Query, visible: Predicate, settling: Settling, services: Services, *, tokens: bool
    ) -> None:
        self._query = query
        self._visible = visible
        self._settling = settling
        self._services = services
        self._tokens = tokens
        self._types = frozenset(query.types)
        self._searched = self._types or all_types() - {LOGGED}
        self._logged = self._types == {LOGGED}
        self._asks_elsewhere = asks_elsewhere(query.predicate)

    async def page_and_total(self, after: Position | None) -> tuple[Page, int | None]:
        """The page from `after`; the total None where none is wanted. Raises TooCostly."""
        if not self._asks_elsewhere:
            return await self._answered(self._query.predicate, after)
        if not self._may_sift:
            return await self._answered(await self._settled(), after)
        try:
            settled = await self._settled(few=True)
        except TooCostly:
            return await self._sifted(after), None
        return await self._answered(settled, after)

    async def one_and_total(self, key: str) -> tuple[Page, int | None]:
        """The match of that key, `Type/id`, if it is one."""
        query = self._query
        predicate = query.predicate
        if self._asks_elsewhere:
            predicate = await self._settling.judged(predicate, self._searched, (key,))
        resource_type, _, id = key.partition("/")
        page = await self._services.store.page(
            all_of(WithId(frozenset((id,))), predicate, self._visible),
            types=frozenset((resource_type,)),
            order=(),
            after=None,
            count=1,
            tokens=self._tokens,
        )
        if query.total == "none" or not self._asks_elsewhere:
            return page, await self._total(predicate)
        return page, await self._total(await self._settled())

    @property
    def _may_sift(self) -> bool:
        """Is a page wanted, and nothing but a page, in an order that an index has?"""
        wanted = self._query.count > 0 and self._query.total == "none"
        return wanted and not self._logged and indexed_order(self._query.order) is not None

    async def _settled(self, *, few: bool = False) -> Predicate:
        return await self._settling.settled(self._query.predicate, self._searched, few=few)

    async def _answered(self, predicate: Predicate, after: Position | None) -> tuple[Page, int | None]:
        found = await self._page(predicate, after, self._query.count, tokens=self._tokens)
        return found, await self._total(predicate)

    async def _sifted(self, after: Position | None) -> Page:
        candidates = relaxed(self._query.predicate)
        sifting = Sifting(
            self._settling,
            self._query.predicate,
            self._searched,
            lambda place, count: self._page(candidates, place, count, tokens=True),
        )
        most = self._services.settings.join_matches_max
        page = await sifting.page(after, self._query.count, min(_CANDIDATES_FIRST, most))
        onward = page.previous if after is not None and after.back else page.next
        if onward is None or len(page.versions) == self._query.count:
            return page
        try:
            return (await self._answered(await self._settled(), after))[0]
        except TooCostly:
            return await sifting.page(after, self._query.count, most)

    async def _page(self, predicate: Predicate, after: Position | None, count: int, *, tokens: bool) -> Page:
        query = self._query
        if count == 0:
            return Page((), None)
        with stage("page"):
            if self._logged:
                return await audit_page(
                    all_of(predicate, self._visible),
                    newest_first=query.order[0].kind != "updated" or query.order[0].descending,
                    after=after,
                    count=count,
                    services=self._services,
                )
            before = all_of(relaxed(query.predicate), self._visible) if self._asks_elsewhere else None
            return await self._services.store.page(
                all_of(predicate, self._visible),
                types=self._types or None,
                order=query.order,
                after=after,
                count=count,
                tokens=tokens,
                before=before,
            )

    async def _total(self, predicate: Predicate) -> int | None:
        if self._query.total == "none":
            return None
        most = self._services.search_limits.total_estimated_max if self._query.total == "estimate" else None
        with stage("count"):
            wanted = all_of(predicate, self._visible)
            if self._logged:
                return await audit_total(wanted, self._services, most=most)
            return await self._services.store.count(wanted, types=self._types or None, most=most)
