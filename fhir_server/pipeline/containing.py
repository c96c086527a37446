"""
Searches of contained resources: what contains a match is searched, and shown whole or cut to the matches.

Who may see a contained resource is who may see what contains it: scopes, policy and consent are asked of
that, so it is as if the container had been read.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from fhir_server.interactions.bundles import Inner
from fhir_server.pipeline.admission import all_types
from fhir_server.pipeline.releasing import Releasing
from fhir_server.pipeline.settling import Settling
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import from_text, to_text
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.asking.query import Query
from fhir_server.search.predicates.matching import is_meant, matches
from fhir_server.search.predicates.predicate import Containing, Nothing, Predicate, all_of, any_of, of_types
from fhir_server.search.predicates.rewriting import leaves_of
from fhir_server.search.predicates.version import Version
from fhir_server.store.pages import Page
from fhir_server.store.positions import Position


@dataclass(frozen=True, slots=True)
class Containers:
    """The query for what contains a match; `inside` is true of that, `own` of what matches by itself."""

    query: Query
    inside: Predicate
    own: Predicate

    def meant(self, container: Version) -> list[Version | Inner]:
        """The matches, each on its own: the resource itself, and those that it contains."""
        found: list[Version | Inner] = [container] if matches(self.own, container) else []
        if not container.entry.contained or not container.body:
            return found
        asked = [leaf for leaf in leaves_of(self.inside) if isinstance(leaf, Containing)]
        bodies = from_text(container.body)["contained"]
        for inner, body in zip(container.entry.contained, bodies, strict=True):
            if any(is_meant(each, container, inner) for each in asked):
                alone = structs.replace(container, key=inner.key, body=to_text(body), entry=inner.entry)
                found.append(Inner(container.key, alone))
        return found


async def of_containers(query: Query, settling: Settling) -> Containers:
    """`query` of contained resources, its codes known. Raises Forbidden, TooCostly."""
    searched = frozenset(query.types) or all_types() - {LOGGED}
    inside, findable = await settling.contained(query.predicate, searched)
    own: Predicate = Nothing()
    if query.contained == "both":
        own = all_of(of_types(searched), await settling.settled(query.predicate, searched))
    return Containers(replace(query, types=(), predicate=any_of(own, findable)), inside, own)


def cut(
    page: Page, after: Position | None, containers: Containers, releasing: Releasing
) -> tuple[Page, list[Version], list[Version | Inner]]:
    """
    As much of a page of containers as has no more matches than were asked for: those, and what they contain.

    Raises TooCostly when one container has more by itself.
    """
    most = containers.query.count
    back = after is not None and after.back
    released: list[Version] = []
    found: list[Version | Inner] = []
    for place, version in enumerate(page.versions[::-1] if back else page.versions):
        for container in releasing.released((version,)):
            meant = containers.meant(container)
            if len(found) + len(meant) > most:
                if not place:
                    raise TooCostly(
                        f"{container.key} contains more matches than `_count`, which is {most}: ask for more"
                    )
                return page.beginning(place, after), released, found
            released = [container, *released] if back else [*released, container]
            found = [*meant, *found] if back else [*found, *meant]
    return page, released, found
