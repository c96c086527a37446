"""
A terminology of what is stored here: ValueSets and CodeSystems that the caller may read, then R4's own.

What a caller may not see is not there, here as anywhere. Reading takes the scope `r` or `s` on the type;
R4's own are facts of the specification and take none. Nothing is kept from one search to the next, so
what was just written counts.

Value sets name others and code systems, which are fetched level by level, each level at once, within
DEFINITIONS_MAX and DEFINITION_BYTES_MAX for one search. Then all is pure (terminology/).

https://hl7.org/fhir/R4/terminology-module.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Literal

from fhir_server.pipeline.admission import access_to
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Forbidden, Invalid, TooCostly, Unsupported
from fhir_server.r4.primitives import is_id
from fhir_server.r4.resource import Resource, from_text
from fhir_server.search.asking.results import SortKey
from fhir_server.search.declared.parameters import parameters_of
from fhir_server.search.predicates.entry import escape
from fhir_server.search.predicates.predicate import AnyToken, Predicate, WithId, all_of, any_of, of_types
from fhir_server.search.predicates.version import Version
from fhir_server.smart.caller import Caller
from fhir_server.store.positions import Position
from terminology.canonical import chosen, url_and_version
from terminology.code_system import CodeSystem, code_system_of
from terminology.codes import Codes, listed
from terminology.expansion import expansion, needs
from terminology.r4 import code_system_of_r4, value_set_of_r4

DEFINITIONS_MAX: Final = 100
"""ValueSets and CodeSystems that one search may name, and older business versions of these."""

DEFINITION_BYTES_MAX: Final = 32 << 20
"""Of these together."""

_PARSED_AT_ONCE_BYTES: Final = 64 << 10
"""Longer texts are read in a thread, so that others get a turn meanwhile."""

Definition = Literal["ValueSet", "CodeSystem"]
CodeSystemName = tuple[str, str | None]
"""Its url and version; None is the latest."""


class StoredTerminology:
    """Answers for one search, for one caller under one set of consents."""

    def __init__(self, caller: Caller, services: Services, consented: Predicate, now: datetime) -> None:
        self._caller = caller
        self._services = services
        self._consented = consented
        self._now = now
        self._value_sets: dict[str, Codes | Resource | None] = {}
        self._code_systems: dict[CodeSystemName, CodeSystem | None] = {}
        self._definitions_left = DEFINITIONS_MAX
        self._bytes_left = DEFINITION_BYTES_MAX

    async def expansion(self, value_set: str) -> Codes:
        """The codes of a value set, named by its canonical or as `ValueSet/id`."""
        await self._learn_value_sets(frozenset((value_set,)))
        found = self._value_sets[value_set]
        if found is None:
            raise Invalid("the value set is not known here")
        if isinstance(found, Codes):
            return found
        codes = expansion(found, self, codes_max=self._services.settings.expansion_codes_max)
        self._value_sets[value_set] = codes
        return codes

    async def below(self, system: str, code: str) -> Codes:
        """The code and those under it."""
        return listed(system, (await self._hierarchy(system, code)).below(code))

    async def above(self, system: str, code: str) -> Codes:
        """The code and those over it."""
        return listed(system, (await self._hierarchy(system, code)).above(code))

    def value_set(self, canonical: str) -> Codes | Resource:
        """What was learnt of an imported value set. Raises Unsupported when it is not here."""
        found = self._value_sets.get(canonical)
        if found is None:
            raise Unsupported(f"it includes the value set `{canonical[:200]}`, which is not known here")
        return found

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        """What was learnt of a code system."""
        return self._code_systems.get((url, version))

    async def _hierarchy(self, system: str, code: str) -> CodeSystem:
        await self._learn_code_systems(frozenset(((system, None),)))
        found = self._code_systems[system, None]
        if found is None:
            raise Unsupported("the hierarchy of the code system is not known: it is not here as a whole")
        if code not in found.codes:
            raise Invalid("the code system has no such code")
        return found

    async def _learn_value_sets(self, wanted: Collection[str]) -> None:
        """These and all that they depend on."""
        systems: set[CodeSystemName] = set()
        while wanted := frozenset(wanted) - self._value_sets.keys():
            stored = await self._stored("ValueSet", wanted)
            following: set[str] = set()
            for canonical in wanted:
                found = stored.get(canonical) or value_set_of_r4(*url_and_version(canonical))
                if found is None:
                    self._require_scope("ValueSet")
                elif not isinstance(found, Codes):
                    needed = needs(found)
                    following |= needed.value_sets
                    systems |= needed.code_systems
                self._value_sets[canonical] = found
            wanted = following
        await self._learn_code_systems(systems)

    async def _learn_code_systems(self, wanted: Collection[CodeSystemName]) -> None:
        wanted = frozenset(wanted) - self._code_systems.keys()
        names = {f"{url}|{version}" if version else url: (url, version) for url, version in wanted}
        stored = await self._stored("CodeSystem", names)
        for canonical, name in names.items():
            found = code_system_of(stored[canonical]) if canonical in stored else None
            self._code_systems[name] = found or code_system_of_r4(*name)
            if self._code_systems[name] is None:
                self._require_scope("CodeSystem")

    async def _stored(self, type: Definition, canonicals: Collection[str]) -> Mapping[str, Resource]:
        """Those that the caller may read, by the canonicals they were asked for by."""
        visible = self._visible(type)
        if visible is None or not canonicals:
            return {}
        urls = frozenset(url_and_version(canonical)[0] for canonical in canonicals)
        ids = {canonical: id for canonical in canonicals if (id := self._own_id(type, canonical))}
        names = parameters_of(type)["url"].found_as
        named = AnyToken(frozenset(f"{name}|{escape(url)}" for url in urls for name in names))
        by_name = any_of(named, WithId(frozenset(ids.values()))) if ids else named
        self._count(len(canonicals))
        versions = await self._read(type, all_of(by_name, visible))
        self._count(max(0, len(versions) - len(canonicals)))
        by_url: dict[str, list[tuple[Resource, datetime]]] = {}
        by_id: dict[str, Resource] = {}
        for version in versions:
            resource = await _parsed(version.body or b"")
            by_url.setdefault(resource.get("url", ""), []).append((resource, version.last_updated))
            by_id[version.key.id] = resource
        found = {}
        for canonical in canonicals:
            url, version_asked = url_and_version(canonical)
            own = by_id.get(ids.get(canonical, ""))
            definition = own if own is not None else chosen(by_url.get(url, ()), version_asked)
            if definition is not None:
                found[canonical] = definition
        return found

    async def _read(self, type: Definition, predicate: Predicate) -> list[Version]:
        found: list[Version] = []
        after: Position | None = None
        while True:
            page = await self._services.store.page(
                predicate,
                types=frozenset((type,)),
                order=(SortKey("sequence"),),
                after=after,
                count=DEFINITIONS_MAX + 1,
                tokens=False,
            )
            found += page.versions
            self._count(max(0, len(found) - DEFINITIONS_MAX))
            self._bytes_left -= sum(len(version.body or b"") for version in page.versions)
            if self._bytes_left < 0:
                raise TooCostly(
                    f"ValueSets and CodeSystems of more than {DEFINITION_BYTES_MAX} bytes are read"
                )
            if page.next is None:
                return found
            after = page.next

    def _count(self, definitions: int) -> None:
        self._definitions_left -= definitions
        if self._definitions_left < 0:
            raise TooCostly(f"more than {DEFINITIONS_MAX} ValueSets and CodeSystems have to be read")

    def _own_id(self, type: Definition, canonical: str) -> str | None:
        """Of `ValueSet/id`, relative or under our own base URL."""
        relative = canonical.removeprefix(f"{self._services.settings.base_url}/")
        named, _, id = relative.partition("/")
        return id if named == type and is_id(id) else None

    def _visible(self, type: Definition) -> Predicate | None:
        """What the caller may read of the type; None without a scope."""
        access = access_to(self._caller, type, ("r", "s"), self._now, self._services)
        if access is None:
            return None
        return all_of(of_types(frozenset((type,))), access.right.predicate, self._consented)

    def _require_scope(self, type: Definition) -> None:
        if self._visible(type) is None:
            raise Forbidden(f"no scope of this token covers `r` or `s` on {type}")


async def _parsed(text: bytes) -> Resource:
    if len(text) <= _PARSED_AT_ONCE_BYTES:
        return from_text(text)
    return await asyncio.to_thread(from_text, text)
