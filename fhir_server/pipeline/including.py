"""
What a page of matches includes, step by step: what they refer to, what refers to them, and on.

Everything is asked for within what the caller may see, as the matches are, so what is hidden is
neither returned nor counted: a limit is met by what the caller could be shown, or by the
references in it. Each resource comes once and no match again, so cycles end.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from fhir_server.pipeline.auditing import audit_event
from fhir_server.pipeline.releasing import Releasing
from fhir_server.pipeline.services import Services
from fhir_server.policy.redaction import asking_of_shown_members
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.includes import Include, included, referring
from fhir_server.search.predicate import AnyToken, Predicate, WithId, all_of, any_of
from fhir_server.search.results import SortKey
from fhir_server.search.version import Version
from fhir_server.store.positions import Position

BYTES_MAX: Final = 32_000_000
"""Of all that one page includes, together."""

_AT_ONCE: Final = 1_000
_ORDER: Final = (SortKey("sequence"),)


class Including:
    """What one page includes, as it is being found: mutable, made for one run under one set of consents."""

    def __init__(
        self,
        includes: Sequence[Include],
        *,
        releasing: Releasing,
        consented: Predicate,
        services: Services,
        tokens_max: int,
    ) -> None:
        """`consented` is what consents leave to the caller; `tokens_max` is SearchLimits'."""
        self._includes = includes
        self._releasing = releasing
        self._consented = consented
        self._services = services
        self._tokens_max = tokens_max
        self._asked: set[Key] = set()
        self._known: set[Key] = set()
        self._found: list[Version] = []
        self._bytes = 0

    async def of(self, matches: Sequence[Version]) -> list[Version]:
        """What `matches` include, in the order it is found. Raises TooCostly beyond the limits."""
        steps_max = self._services.settings.include_steps_max
        self._known.update(match.key for match in matches)
        self._asked |= self._known
        includes, newest, steps = self._includes, list(matches), 0
        while newest and includes:
            following = tuple(include for include in includes if include.iterate)
            start = len(self._found)
            await self._step(newest, includes, following)
            newest, includes, steps = self._found[start:], following, steps + 1
            if newest and steps > steps_max:
                raise TooCostly(f"The page includes what is more than {steps_max} references away")
        return self._found

    async def _step(
        self, versions: Sequence[Version], includes: Sequence[Include], following: Sequence[Include]
    ) -> None:
        # References can be followed on only from tokens.
        tokens = any(not include.reverse for include in following)
        await self._targets(included(versions, includes), tokens=tokens)
        sources = referring((one.key for one in versions), includes, tokens_max=self._tokens_max)
        await self._sources(sources, tokens=tokens)

    async def _targets(self, keys: Iterable[Key], *, tokens: bool) -> None:
        by_type: dict[str, set[str]] = defaultdict(set)
        for key in keys:
            if key not in self._asked:
                self._asked.add(key)
                by_type[key.type].add(key.id)
        limit = self._services.settings.includes_max
        if len(self._found) + sum(map(len, by_type.values())) > limit:
            self._refuse()
        for resource_type, ids in by_type.items():
            if resource_type == "AuditEvent":
                await self._audit_events(ids)
            elif access := self._releasing.access(resource_type):
                predicate = all_of(WithId(frozenset(ids)), access.right.predicate)
                await self._all(predicate, frozenset((resource_type,)), tokens=tokens)

    async def _audit_events(self, ids: AbstractSet[str]) -> None:
        """They are not among the resources of the store."""
        for id in sorted(ids):
            event = await audit_event(id, self._services)
            if event is not None:
                self._take([event])

    async def _sources(self, by_type: Mapping[str, AbstractSet[str]], *, tokens: bool) -> None:
        """What has one of these tokens of its type: types that the caller sees alike are asked together."""
        asked: dict[Predicate, set[str]] = defaultdict(set)
        types = set()
        parts = []
        for resource_type, values in by_type.items():
            access = self._releasing.access(resource_type)
            if access is None:
                continue
            types.add(resource_type)
            if resource_type == "Group":
                shown = asking_of_shown_members(AnyToken(frozenset(values)), access.right)
                parts.append(all_of(shown, access.right.predicate))
            else:
                asked[access.right.predicate] |= values
        parts += [all_of(AnyToken(frozenset(values)), right) for right, values in asked.items()]
        if types:
            await self._all(any_of(*parts), frozenset(types), tokens=tokens)

    async def _all(self, predicate: Predicate, types: frozenset[str], *, tokens: bool) -> None:
        """Take all that it is true of, page by page: pages are bounded in bytes."""
        tokens = tokens or self._releasing.needs_tokens(types)
        after: Position | None = None
        while True:
            page = await self._services.store.page(
                all_of(predicate, self._consented),
                types=types,
                order=_ORDER,
                after=after,
                count=_AT_ONCE,
                tokens=tokens,
            )
            self._take(page.versions)
            if page.next is None:
                return
            after = page.next

    def _take(self, versions: Iterable[Version]) -> None:
        for version in self._releasing.released(versions):
            if version.key in self._known:
                continue
            self._known.add(version.key)
            self._asked.add(version.key)
            self._found.append(version)
            self._bytes += len(version.body or b"")
        if len(self._found) > self._services.settings.includes_max:
            self._refuse()
        if self._bytes > BYTES_MAX:
            raise TooCostly(f"What the page includes has more than {BYTES_MAX} bytes: ask for fewer matches")

    def _refuse(self) -> None:
        # How many there are is not said: not all of them may be the caller's to know.
        limit = self._services.settings.includes_max
        raise TooCostly(f"The page includes more than {limit} resources: ask for fewer matches")
