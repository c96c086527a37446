"""
Run and release of search and history: what is found within the restriction, page by page.

The restriction is part of the query, so pages are full and totals count what this caller may
see; each version is judged once more before it leaves.

https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from fhir_server.interactions.access import Access, not_known
from fhir_server.interactions.answers import Bundled
from fhir_server.interactions.bundles import Links, history_bundle, operation_outcome, searchset
from fhir_server.interactions.shaping import shaped_version
from fhir_server.pipeline.admission import access_to, admit, all_types, restriction, right_of
from fhir_server.pipeline.auditing import audit_history, audit_page, audit_total
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.policy.redaction import asking_of_shown_members, redacted
from fhir_server.r4.errors import Forbidden, Issue, TooCostly
from fhir_server.r4.interaction import History, Search
from fhir_server.r4.resource import Key, Resource
from fhir_server.r4.shaping import Shape
from fhir_server.search.includes import included
from fhir_server.search.predicate import Predicate, all_of, of_types
from fhir_server.search.query import HistoryQuery, Query, SearchLimits, parse, parse_history
from fhir_server.search.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission
from fhir_server.store.positions import Position

_AUDIT = ("AuditEvent",)
_SHAPED_AT_ONCE = 16
"""Cutting a resource takes up to a tenth of a millisecond: others get a turn after these."""
_Found = tuple[list[Version], Position | None]


async def run_search(interaction: Search, caller: Caller, services: Services, trail: Trail) -> Bundled:
    settings = services.settings
    now = services.clock()
    query = parse(interaction, limits=_limits(services), base_url=settings.base_url)
    # First who is asked about, so that a refusal is recorded with the patient concerned.
    trail.asks_for(query.predicate)
    allowed = restriction(caller, frozenset(query.types) or all_types(), "s")
    query = _of_shown_members(query, caller)
    after = Position.from_text(query.cursor) if query.cursor is not None else None
    releasing = _Releasing(caller, services, now)
    # Tokens are many: they come along only for what is decided by them.
    tokens = bool(query.includes) or releasing.needs_tokens(query.types)

    async def run(consented: Predicate) -> tuple[_Found, int | None]:
        predicate = all_of(query.predicate, allowed, consented)
        found = await _page(query, predicate, after, services, tokens=tokens)
        return found, await _total(query, predicate, services)

    (versions, onward), total = await services.consents.governed(caller, now, run)
    matches = releasing.released(versions)
    includes = releasing.released(await _included(query, matches, services))
    trail.shows([*matches, *includes])
    address = f"{settings.base_url}/{interaction.address}".rstrip("/")
    links = Links(address, query.used, onward.to_text() if onward is not None else None)
    matches = await _shaped(matches, query.shape)
    includes = await _shaped(includes, query.shape.of_included)
    return searchset(settings.base_url, links, matches, includes, _ignored(query), total, now)


def _of_shown_members(query: Query, caller: Caller) -> Query:
    """What is not shown of a Group cannot be asked for either. Raises Forbidden for its order."""
    if query.types and "Group" not in query.types:
        return query
    try:
        right = right_of(caller, "Group", "s")
    except Forbidden:
        return query
    if right.confined and any(key.parameter == "member" for key in query.order):
        raise Forbidden("The members of a Group are not all shown to this caller, nor sorted by")
    return replace(query, predicate=asking_of_shown_members(query.predicate, right))


async def run_history(interaction: History, caller: Caller, services: Services, trail: Trail) -> Bundled:
    settings = services.settings
    now = services.clock()
    permission: Permission = "s" if interaction.id is None else "r"
    types = frozenset((interaction.type,)) if interaction.type else all_types() - set(_AUDIT)
    allowed = restriction(caller, types, permission)
    query = parse_history(interaction, limits=_limits(services))
    after = Position.from_text(query.cursor) if query.cursor is not None else None

    async def run(consented: Predicate) -> _Found:
        predicate = all_of(of_types(types), allowed, consented)
        return await _history_page(interaction, query, predicate, after, services)

    versions, onward = await services.consents.governed(caller, now, run)
    releasing = _Releasing(caller, services, now)
    shown = releasing.released(await _still_seen(versions, releasing, services), tombstones=True)
    trail.shows(shown)
    if interaction.id is not None and not shown and after is None:
        await _require_known(interaction, caller, services, trail)
    steps = [settings.base_url, interaction.type, interaction.id, "_history"]
    address = "/".join(step for step in steps if step is not None)
    links = Links(address, query.used, onward.to_text() if onward is not None else None)
    shown = await _shaped(shown, query.shape)
    return history_bundle(settings.base_url, links, shown, None, now)


async def _shaped(versions: list[Version], shape: Shape) -> list[Version]:
    """What `shape` shows of each, with turns for others between them."""
    if shape.is_whole:
        return versions
    shown = []
    for number, version in enumerate(versions, 1):
        shown.append(shaped_version(version, shape))
        if number % _SHAPED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return shown


class _Releasing:
    """Judges each version that is about to leave, by its own type."""

    def __init__(self, caller: Caller, services: Services, now: datetime) -> None:
        self._caller = caller
        self._services = services
        self._now = now
        self._access: dict[str, Access | None] = {}

    def released(self, versions: Iterable[Version], *, tombstones: bool = False) -> list[Version]:
        """Those that the caller sees, redacted."""
        shown = []
        for version in versions:
            access = self._of_type(version.key.type)
            if access is not None and (tombstones or not version.deleted) and access.sees(version):
                shown.append(redacted(version, access.right))
        return shown

    def sees(self, version: Version) -> bool:
        """May the caller know of it?"""
        access = self._of_type(version.key.type)
        return access is not None and access.sees(version)

    def needs_tokens(self, types: Sequence[str]) -> bool:
        """Does judging versions of these types (none: of all) take their search tokens?"""
        accesses = [self._of_type(resource_type) for resource_type in types]
        return not types or any(access is not None and access.needs_tokens for access in accesses)

    def _of_type(self, resource_type: str) -> Access | None:
        """An included resource needs `s` on its type, or `r`; either reaches what it reaches."""
        if resource_type not in self._access:
            self._access[resource_type] = access_to(
                self._caller, resource_type, ("s", "r"), self._now, self._services
            )
        return self._access[resource_type]


async def _page(
    query: Query, predicate: Predicate, after: Position | None, services: Services, *, tokens: bool
) -> _Found:
    if query.count == 0:
        return [], None
    if query.types == _AUDIT:
        return await audit_page(
            predicate,
            newest_first=query.order[0].kind != "updated" or query.order[0].descending,
            after=after,
            count=query.count,
            services=services,
        )
    page = await services.store.page(
        predicate, types=_types(query), order=query.order, after=after, count=query.count, tokens=tokens
    )
    return list(page.versions), page.next


async def _total(query: Query, predicate: Predicate, services: Services) -> int | None:
    if query.total == "none":
        return None
    if query.types == _AUDIT:
        return await audit_total(predicate, services)
    return await services.store.count(predicate, types=_types(query))


async def _included(query: Query, matches: list[Version], services: Services) -> list[Version]:
    """What the page refers to by its `_include`s. Raises TooCostly beyond the limit."""
    if not query.includes:
        return []
    keys = included(matches, query.includes)
    limit = services.settings.includes_max
    if len(keys) > limit:
        # How many there are is not said: not all of them may be the caller's to know.
        raise TooCostly(f"The page includes more than {limit} resources: ask for fewer matches")
    stored = await services.store.currents(keys)
    return [stored[key] for key in keys if key in stored]


async def _history_page(
    interaction: History,
    query: HistoryQuery,
    predicate: Predicate,
    after: Position | None,
    services: Services,
) -> _Found:
    if interaction.type == "AuditEvent":
        return await audit_history(
            interaction.id, predicate, after=after, count=query.count, services=services
        )
    page = await services.store.history(
        predicate,
        type=interaction.type,
        id=interaction.id,
        since=query.since,
        at=query.at,
        after=after,
        count=query.count,
    )
    return list(page.versions), page.next


async def _still_seen(versions: list[Version], releasing: _Releasing, services: Services) -> list[Version]:
    """
    Those whose present state the caller sees, too.

    What was moved to another patient was theirs all along, its older versions with it.
    """
    newest = await services.store.currents(
        {version.key for version in versions if version.key.type != "AuditEvent"}, text=False
    )
    return [version for version in versions if releasing.sees(newest.get(version.key, version))]


async def _require_known(interaction: History, caller: Caller, services: Services, trail: Trail) -> None:
    """An empty history is that of nothing, unless the time asked for made it so. Raises NotFound."""
    key = Key(interaction.type or "", interaction.id or "")
    access = admit(caller, key.type, "r", services.clock(), services)
    version, _ = await services.store.current(key, tokens=access.needs_tokens)
    if version is None:
        raise not_known(key)
    trail.shows((version,))
    access.require_seen(version)


def _types(query: Query) -> frozenset[str] | None:
    return frozenset(query.types) or None


def _limits(services: Services) -> SearchLimits:
    settings = services.settings
    return SearchLimits(page_size_default=settings.page_size_default, page_size_max=settings.page_size_max)


def _ignored(query: Query) -> Resource | None:
    if not query.ignored:
        return None
    named = ", ".join(f"`{name[:64]}`" for name in query.ignored)
    return operation_outcome((Issue("warning", "not-supported", f"Ignored as was preferred: {named}"),))
