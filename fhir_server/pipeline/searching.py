"""
Run and release of search: what is found within the restriction, page by page.

The restriction is part of the query, so pages are full and totals count what this caller may
see; each version is judged once more before it leaves.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_server.interactions.answers import Bundled
from fhir_server.interactions.bundles import Inner, Links, operation_outcome, searchset
from fhir_server.pipeline.admission import all_types, left_of_app_state, restriction, right_of
from fhir_server.pipeline.completing import Completed, Continuation, completed, going_on
from fhir_server.pipeline.containing import Containers, cut, of_containers
from fhir_server.pipeline.finding import Finding
from fhir_server.pipeline.full_text import indexed_words
from fhir_server.pipeline.including import Including
from fhir_server.pipeline.links import Cursors
from fhir_server.pipeline.parameters import by_the_newest
from fhir_server.pipeline.releasing import Releasing, shaped
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.settling import Settling
from fhir_server.pipeline.stored_terminology import StoredTerminology
from fhir_server.pipeline.terms import Terms
from fhir_server.pipeline.trail import Trail
from fhir_server.pipeline.unqualified import refuse_ambiguous
from fhir_server.policy.redaction import asking_of_shown_members, tells_of_members
from fhir_server.r4.errors import Forbidden, Issue
from fhir_server.r4.interaction import Search
from fhir_server.r4.resource import Resource
from fhir_server.r4.shaping import Shape
from fhir_server.search.asking.includes import needs_tokens
from fhir_server.search.asking.query import Query, parse
from fhir_server.search.declared.catalogue import in_force
from fhir_server.search.predicates.feeds import is_feed
from fhir_server.search.predicates.predicate import Everything, Predicate, Updated, all_of
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.store.documents import moment
from fhir_server.store.explaining import stage
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position
from fhir_server.store.unit import Moved

_AUDIT = ("AuditEvent",)


async def run_search(interaction: Search, caller: Caller, services: Services, trail: Trail) -> Bundled:
    """By the search parameters that are in force when it is answered."""

    async def attempt() -> Bundled:
        known = in_force()
        answer = await _searched(interaction, caller, services, trail)
        if in_force() is not known:
            raise Moved
        return answer

    return await by_the_newest(attempt, services.consents, services.parameters, interaction.parameters)


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    A search, understood, with its place among the pages.

    `allowed` is what scopes and policy leave to the caller. The page begins at `after`, or goes on with
    the `rest` of what a match includes.
    """

    query: Query
    allowed: Predicate
    after: Position | None
    rest: Continuation | None


async def _searched(interaction: Search, caller: Caller, services: Services, trail: Trail) -> Bundled:
    base_url = services.settings.base_url
    query = await _understood(interaction, services)
    # First who is asked about, so that a refusal is recorded with the patient concerned.
    trail.searches(query)
    allowed = _allowed(query, caller)
    query = _of_shown_members(query, caller)
    cursors = Cursors(services.seals, caller, interaction.address, query.used)
    place = cursors.place(query.cursor)
    rest = place if isinstance(place, Continuation) else None
    after = await _from(query, place.behind if isinstance(place, Continuation) else place, services)
    asked = _Asked(query, allowed, after, rest)
    releasing = Releasing(caller, services, services.clock())
    page, total, containers = await _found(asked, caller, releasing, services)
    whole, results = await _results(asked, page, containers, caller, releasing, services)
    trail.shows([*whole.matches, *whole.includes])
    address = f"{base_url}/{interaction.address}".rstrip("/")
    links = Links(address, query.used, cursors.of(whole.next), cursors.of(whole.page.previous))
    matches = await _shaped_results(results, query.shape)
    includes = await shaped(whole.includes, query.shape.of_included)
    return searchset(base_url, links, matches, includes, _outcome(query, whole), total, releasing.now)


async def _understood(interaction: Search, services: Services) -> Query:
    return parse(
        interaction,
        limits=services.search_limits,
        base_url=services.settings.base_url,
        zone=services.zone,
        indexed=await indexed_words(interaction.parameters, services),
    )


def _allowed(query: Query, caller: Caller) -> Predicate:
    """What scopes and policy leave. Raises Forbidden when they leave nothing of what is searched."""
    allowed = restriction(caller, frozenset(query.types) or all_types(), "s")
    if query.contained == "false":
        return allowed
    # What contains a match may be of any type.
    return restriction(caller, all_types() - set(_AUDIT), "s")


async def _found(
    asked: _Asked, caller: Caller, releasing: Releasing, services: Services
) -> tuple[Page, int | None, Containers | None]:
    """The page and the total; and what contained resources were asked about, if any."""
    query = asked.query
    # Tokens are many: they come along only for what is decided by them.
    followed = needs_tokens(query.includes)
    tokens = followed or query.contained != "false" or releasing.needs_tokens(query.types)
    until = _until(query, asked.after)
    types = frozenset(query.types) if query.types and query.contained == "false" else all_types()

    async def run(consented: Predicate) -> tuple[Page, int | None, Containers | None]:
        await refuse_ambiguous(query.unqualified, consented, caller, services)
        terms = Terms(
            StoredTerminology(caller, services, consented, releasing.now),
            codes_max=services.settings.expansion_codes_max,
        )
        settling = Settling(caller, services, consented)
        meant = replace(
            query, predicate=await terms.meant(query.predicate), order=settling.ordered(query.order)
        )
        containers = None if query.contained == "false" else await of_containers(meant, settling)
        finding = Finding(
            meant if containers is None else containers.query,
            all_of(asked.allowed, consented, until, left_of_app_state(caller, types, services)),
            settling,
            services,
            tokens=tokens,
        )
        if asked.rest is not None:
            return *(await finding.one_and_total(asked.rest.key)), containers
        return *(await finding.page_and_total(asked.after)), containers

    return await services.consents.governed(caller, releasing.now, run)


async def _results(
    asked: _Asked,
    page: Page,
    containers: Containers | None,
    caller: Caller,
    releasing: Releasing,
    services: Services,
) -> tuple[Completed, Sequence[Version | Inner]]:
    """What of the page is shown, and each of its matches as it is shown."""
    if containers is not None and asked.query.contained_type == "contained":
        page, released, inner = cut(page, asked.after, containers, releasing)
        return Completed(page, released, []), inner
    whole = await _whole(asked.query, page, asked.rest or asked.after, caller, releasing, services)
    return whole, whole.matches


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
        for one, version in zip(found, await shaped(alone, shape), strict=True)
    ]


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


def _outcome(query: Query, whole: Completed) -> Resource | None:
    issues = list(whole.told)
    if query.ignored:
        named = ", ".join(f"`{name[:64]}`" for name in query.ignored)
        issues.append(Issue("warning", "not-supported", f"Ignored as was preferred: {named}"))
    return operation_outcome(issues) if issues else None
