"""The last look at each version that is about to leave, by its own type."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fhir_server.interactions.access import Access
from fhir_server.interactions.shaping import shaped_version
from fhir_server.pipeline.admission import access_to, left_of_app_state
from fhir_server.pipeline.services import Services
from fhir_server.policy.redaction import redacted
from fhir_server.r4.shaping import Shape
from fhir_server.search.predicates.predicate import Predicate
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller

SHAPED_AT_ONCE: Final = 16
"""Cutting a resource takes up to a tenth of a millisecond: others get a turn after these."""


class Releasing:
    """Judges versions for one caller; what it knows of a type it asks for once."""

    def __init__(self, caller: Caller, services: Services, now: datetime) -> None:
        self._caller = caller
        self._services = services
        self.now = now
        self._access: dict[str, Access | None] = {}

    def released(self, versions: Iterable[Version], *, tombstones: bool = False) -> list[Version]:
        """Those that the caller sees, redacted."""
        shown = []
        for version in versions:
            access = self.access(version.key.type)
            if access is not None and (tombstones or not version.deleted) and access.sees(version):
                shown.append(redacted(version, access.right))
        return shown

    def sees(self, version: Version) -> bool:
        """May the caller know of it?"""
        access = self.access(version.key.type)
        return access is not None and access.sees(version)

    def needs_tokens(self, types: Iterable[str]) -> bool:
        """Does judging versions of these types (none: of all) take their search tokens?"""
        named = tuple(types)
        accesses = [self.access(resource_type) for resource_type in named]
        return not named or any(access is not None and access.needs_tokens for access in accesses)

    def left_of_app_state(self, types: frozenset[str]) -> Predicate:
        """To be asked within `governed`."""
        return left_of_app_state(self._caller, types, self._services)

    def access(self, resource_type: str) -> Access | None:
        """An included resource needs `s` on its type, or `r`; either reaches what it reaches."""
        if resource_type not in self._access:
            self._access[resource_type] = access_to(
                self._caller, resource_type, ("s", "r"), self.now, self._services
            )
        return self._access[resource_type]


async def shaped(versions: list[Version], shape: Shape) -> list[Version]:
    """What `shape` shows of each, with turns for others between them."""
    if shape.is_whole:
        return versions
    shown = []
    for number, version in enumerate(versions, 1):
        shown.append(shaped_version(version, shape))
        if number % SHAPED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return shown
