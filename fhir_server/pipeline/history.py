"""
Run and release of history: the versions of a resource, a type or all, within the restriction.

A version is shown to who may see it and the present state of its resource, a deletion to who could see
what was deleted.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.interactions.access import not_known
from fhir_server.interactions.answers import Bundled
from fhir_server.interactions.bundles import Links, history_bundle
from fhir_server.pipeline.admission import admit, all_types, left_of_app_state, restriction
from fhir_server.pipeline.auditing import audit_history
from fhir_server.pipeline.links import Cursors
from fhir_server.pipeline.releasing import Releasing, shaped
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.r4.interaction import History
from fhir_server.r4.resource import Key
from fhir_server.search.asking.query import HistoryQuery, parse_history
from fhir_server.search.predicates.predicate import Everything, Predicate, Updated, all_of, of_types
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission
from fhir_server.store.documents import moment
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position

_AUDIT = ("AuditEvent",)


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
        left = left_of_app_state(caller, types, services)
        predicate = all_of(of_types(types), allowed, consented, left, settled)
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
    shown = await shaped(shown, query.shape)
    return history_bundle(settings.base_url, links, shown, None, now)


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
