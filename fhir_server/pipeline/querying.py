"""
Run and release of search and history: what is found within the restriction, page by page.

The restriction is part of the query, so pages are full and totals count what this caller may
see; each version is judged once more before it leaves.

https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fhir_server.interactions.access import not_known
from fhir_server.interactions.answers import Bundled
from fhir_server.interactions.bundles import Inner, Links, history_bundle, operation_outcome, searchset
from fhir_server.interactions.shaping import shaped_version
from fhir_server.pipeline.admission import admit, all_types, restriction, right_of
from fhir_server.pipeline.auditing import audit_history
from fhir_server.pipeline.completing import Completed, Continuation, completed, going_on
from fhir_server.pipeline.containing import Containers, cut, of_containers
from fhir_server.pipeline.finding import Finding
from fhir_server.pipeline.full_text import indexed_words
from fhir_server.pipeline.including import Including
from fhir_server.pipeline.links import Cursors
from fhir_server.pipeline.parameters import by_the_newest
from fhir_server.pipeline.releasing import Releasing
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.settling import Settling
from fhir_server.pipeline.stored_terminology import StoredTerminology
from fhir_server.pipeline.terms import Terms
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.unqualified import refuse_ambiguous
from fhir_server.policy.redaction import asking_of_shown_members, tells_of_members
from fhir_server.r4.errors import Forbidden, Issue
from fhir_server.r4.interaction import History, Search
from fhir_server.r4.resource import Key, Resource
from fhir_server.r4.shaping import Shape
from fhir_server.search.asking.query import HistoryQuery, Query, parse, parse_history
from fhir_server.search.declared.catalogue import in_force
from fhir_server.search.predicates.feeds import is_feed
from fhir_server.search.predicates.predicate import Everything, Predicate, Updated, all_of, of_types
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission
from fhir_server.store.documents import moment
from fhir_server.store.explaining import stage
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position
from fhir_server.store.unit import Moved

_AUDIT = ("AuditEvent",)
_SHAPED_AT_ONCE = 16
"""Cutting a resource takes up to a tenth of a millisecond: others get a turn after these."""


async def run_search(interaction: Search, caller: Caller, services: Services, trail: Trail) -> Bundled:
    """By the search parameters that are in force when it is answered."""

    async def attempt() -> Bundled:
        known = in_force()
        answer = await _searched(interaction, caller, services, trail)
        if in_force() is not known:
            raise Moved
        return answer

    return await by_the_newest(attempt, services.consents, services.parameters, interaction.parameters)


async def _searched(interaction: Search, caller: Caller, services: Services, trail: Trail) -> Bundled:
    settings = services.settings
    now = services.clock()
    indexed = await indexed_words(interaction.parameters, services)
    query = parse(
        interaction,
        limits=services.search_limits,
        base_url=settings.base_url,
        zone=services.zone,
        indexed=indexed,
    )
    # First who is asked about, so that a refusal is recorded with the patient concerned.
    trail.searches(query)
    allowed = restriction(caller, frozenset(query.types) or all_types(), "s")
    if query.contained != "false":
        # What contains a match may be of any type.
        allowed = restriction(caller, all_types() - set(_AUDIT), "s")
    query = _of_shown_members(query, caller)
    cursors = Cursors(services.seals, caller, interaction.address, query.used)
    place = cursors.place(query.cursor)
    rest = place if isinstance(place, Continuation) else None
    after = await _from(query, place.behind if isinstance(place, Continuation) else place, services)
    releasing = Releasing(caller, services, now)
    # Tokens are many: they come along only for what is decided by them.
    followed = any(not include.reverse for include in query.includes)
    tokens = followed or query.contained != "false" or releasing.needs_tokens(query.types)
    until = _until(query, after)

    async def run(consented: Predicate) -> tuple[Page, int | None, Containers | None]:
        await refuse_ambiguous(query.unqualified, consented, caller, services)
        terminology = StoredTerminology(caller, services, consented, now)
        meant = await Terms(terminology, codes_max=settings.expansion_codes_max).meant(query.predicate)
        settling = Settling(caller, services, consented)
        asked = replace(query, predicate=meant, order=settling.ordered(query.order))
        within = all_of(allowed, consented, until)
        containers = None if query.contained == "false" else await of_containers(asked, settling)
        asked = asked if containers is None else containers.query
        finding = Finding(asked, within, settling, services, tokens=tokens)
        found = finding.page_and_total(after) if rest is None else finding.one_and_total(rest.key)
        return *(await found), containers

    page, total, containers = await services.consents.governed(caller, now, run)
    shown: Sequence[Version | Inner]
    if containers is not None and query.contained_type == "contained":
        page, released, shown = cut(page, after, containers, releasing)
        whole = Completed(page, released, [])
    else:
        whole = await _whole(query, page, rest or after, caller, releasing, services)
        shown = whole.matches
    trail.shows([*whole.matches, *whole.includes])
    address = f"{settings.base_url}/{interaction.address}".rstrip("/")
    links = Links(address, query.used, cursors.of(whole.next), cursors.of(whole.page.previous))
    matches = await _shaped_results(shown, query.shape)
    includes = await _shaped(whole.includes, query.shape.of_included)
    outcome = _outcome(query, whole)
    return searchset(settings.base_url, links, matches, includes, outcome, total, now)


def _of_shown_members(query: Query, caller: Caller) -> Query:
    """What is not shown of a Group cannot be asked for either. Raises Forbidden for its order."""
    if query.types and "Group" not in query.types:
        return query
    try:
        right = right_of(caller, "Group", "s")
    except Forbidden:
        return query
    if right.confined and any(tells_of_members(f"Group|{key.parameter or ''}") for key in query.order):
        raise Forbidden("The members of a Group are not all shown to this caller, nor sorted by")
    return replace(query, predicate=asking_of_shown_members(query.predicate, right))


async def run_history(interaction: History, caller: Caller, services: Services, trail: Trail) -> Bundled:
    settings = services.settings
    now = services.clock()
    permission: Permission = "s" if interaction.id is None else "r"
    types = frozenset((interaction.type,)) if interaction.type else all_types() - set(_AUDIT)
    allowed = restriction(caller, types, permission)
    query = parse_history(interaction, limits=services.search_limits, zone=services.zone)
    steps = [interaction.type, interaction.id, "_history"]
    address = "/".join(step for step in steps if step is not None)
    cursors = Cursors(services.seals, caller, address, query.used)
    after = cursors.position(query.cursor)

    polled = query.since is not None and interaction.id is None and interaction.type not in _AUDIT
    settled = Updated(end=moment(await services.store.watermark())) if polled else Everything()

    async def run(consented: Predicate) -> Page:
        predicate = all_of(of_types(types), allowed, consented, settled)
        return await _history_page(interaction, query, predicate, after, services)

    page = await services.consents.governed(caller, now, run)
    releasing = Releasing(caller, services, now)
    shown = releasing.released(await _still_seen(page.versions, releasing, services), tombstones=True)
    trail.shows(shown)
    if interaction.id is not None and not shown and after is None:
        await _require_known(interaction, caller, services, trail)
    links = Links(
        f"{settings.base_url}/{address}", query.used, cursors.of(page.next), cursors.of(page.previous)
    )
    shown = await _shaped(shown, query.shape)
    return history_bundle(settings.base_url, links, shown, None, now)


async def _from(query: Query, after: Position | None, services: Services) -> Position | None:
    """
    Where the page begins: of a feed, at a time up to which nothing is still to be committed.

    It is the same on all of its pages, so who goes on from the last that was shown misses nothing. The
    ledger has no such time: its links are not stamped as they are appended.
    """
    if after is not None or not query.count or query.types == _AUDIT or not is_feed(query.predicate):
        return after
    return Position.beginning(await services.store.watermark() - 1)


def _until(query: Query, after: Position | None) -> Predicate:
    """What of a feed is shown."""
    if after is None or after.as_of is None or query.types == _AUDIT or not is_feed(query.predicate):
        return Everything()
    return Updated(end=moment(after.as_of + 1))


async def _shaped_results(found: Sequence[Version | Inner], shape: Shape) -> list[Version | Inner]:
    """The same of what may be shown without what contains it."""
    alone = [one.version if isinstance(one, Inner) else one for one in found]
    return [
        Inner(one.container, version) if isinstance(one, Inner) else version
        for one, version in zip(found, await _shaped(alone, shape), strict=True)
    ]


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


async def _whole(
    query: Query,
    page: Page,
    after: Position | Continuation | None,
    caller: Caller,
    releasing: Releasing,
    services: Services,
) -> Completed:
    """What of the page is shown, with what it includes, released. Raises TooCostly beyond the limits."""
    if isinstance(after, Continuation) and not page.versions:
        return Completed(after.around, [], [])
    if not (query.includes and page.versions):
        return Completed(page, releasing.released(page.versions), [])

    def release(page: Page) -> list[Version]:
        return releasing.released(page.versions)

    async def run(consented: Predicate) -> Completed:
        def including() -> Including:
            return Including(
                query.includes,
                releasing=releasing,
                consented=consented,
                services=services,
                tokens_max=services.search_limits.include_tokens_max,
            )

        most = services.settings.includes_max
        with stage("includes"):
            if isinstance(after, Continuation):
                return await going_on(release(page), after, including, includes_max=most)
            return await completed(page, after, release, including, includes_max=most)

    return await services.consents.governed(caller, releasing.now, run)


async def _history_page(
    interaction: History,
    query: HistoryQuery,
    predicate: Predicate,
    after: Position | None,
    services: Services,
) -> Page:
    if interaction.type == "AuditEvent":
        return await audit_history(
            interaction.id, predicate, after=after, count=query.count, services=services
        )
    return await services.store.history(
        predicate,
        type=interaction.type,
        id=interaction.id,
        since=query.since,
        at=query.at,
        after=after,
        count=query.count,
    )


async def _still_seen(versions: Sequence[Version], releasing: Releasing, services: Services) -> list[Version]:
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


def _outcome(query: Query, whole: Completed) -> Resource | None:
    issues = list(whole.told)
    if query.ignored:
        named = ", ".join(f"`{name[:64]}`" for name in query.ignored)
        issues.append(Issue("warning", "not-supported", f"Ignored as was preferred: {named}"))
    return operation_outcome(issues) if issues else None
