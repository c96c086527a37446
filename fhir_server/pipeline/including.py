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

from fhir_server.pipeline.auditing import audit_event, audit_page
from fhir_server.pipeline.referred_versions import ReferredVersions
from fhir_server.pipeline.releasing import Releasing
from fhir_server.pipeline.services import Services
from fhir_server.policy.redaction import asking_of_shown_members
from fhir_server.r4.errors import TooCostly
from fhir_server.r4.resource import Key
from fhir_server.search.asking.canonicals import named
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.asking.includes import Include, included, needs_tokens, referring
from fhir_server.search.asking.results import SortKey
from fhir_server.search.predicates.predicate import AnyToken, Predicate, WithId, all_of, any_of, of_types
from fhir_server.search.predicates.version import Version
from fhir_server.store.positions import Position

BYTES_MAX: Final = 32_000_000
"""Of all that one page includes, together."""

EVENTS_MAX: Final = 1_000
"""AuditEvents on one page: each is made of its record as it is shown."""

_AT_ONCE: Final = 1_000
_EVENTS_AT_ONCE: Final = 200
_LEDGER: Final = Position(0, "0")
"""Before the first record of the ledger."""

_ORDER: Final = (SortKey("sequence"),)


class Overfull(TooCostly):
    """A page includes more than it may: fewer matches may include less (completing.py)."""


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
        self._referred = ReferredVersions(services.store, releasing)
        self._known: set[tuple[Key, int]] = set()
        self._found: list[Version] = []
        self._events: list[str] = []
        self._bytes = 0

    async def of(self, matches: Sequence[Version]) -> list[Version]:
        """
        What `matches` include, in the order it is found.

        Raises Overfull beyond what a page may include, TooCostly beyond other limits.
        """
        self._know(matches)
        await self._steps(list(matches), self._includes)
        return self._found

    async def part_of(self, match: Version, after: Position | None, count: int) -> Position | None:
        """
        Of what one match includes, up to `count` behind `after`, with what these include in turn.

        Gives where the rest begins, None when there is none. Those are in the order of creation, which
        nothing changes, AuditEvents behind all others; what several parts include in turn comes with each.
        """
        self._know([match])
        if after is None or not _is_of_ledger(after):
            onward = await self._part_of_resources(match, after, count)
            if onward is not None:
                return await self._with_following(onward)
            after, count = None, count - len(self._found)
        sources = self._referring([match], self._includes)
        return await self._with_following(await self._part_of_events(sources, after, count))

    async def _with_following(self, onward: Position | None) -> Position | None:
        """Takes what is included in turn by what was found."""
        if self._following:
            await self._steps(list(self._found), self._following, steps=1)
        return onward

    async def _part_of_resources(self, match: Version, after: Position | None, count: int) -> Position | None:
        following = self._following
        tokens = needs_tokens(following)
        asked = [
            (all_of(of_types(types), predicate), types)
            for predicate, types in self._asked_of_targets([match], self._includes)
        ]
        named_or_referring = [
            (all_of(of_types(types), predicate), types)
            for predicate, types in self._asked_of_canonicals([match], self._includes)
        ]
        sources = self._referring([match], self._includes)
        named_or_referring.append(self._asked_of_sources(sources))
        asked += named_or_referring
        if after is None:
            await self._audit_events()
        types = frozenset[str]().union(*(types for _, types in asked))
        onward = None
        if types:
            predicate = any_of(*(predicate for predicate, types in asked if types))
            # By which of them something is found is not told: it comes as it is, too, if by any other.
            beside = any(types for _, types in named_or_referring)
            onward = await self._some(predicate, types, after, count, tokens=tokens, beside=beside)
        return onward

    @property
    def found(self) -> list[Version]:
        """What was found, in the order of finding it."""
        return self._found

    def _know(self, matches: Sequence[Version]) -> None:
        self._known.update((match.key, match.number) for match in matches)
        self._referred.know(matches)

    @property
    def _following(self) -> tuple[Include, ...]:
        return tuple(include for include in self._includes if include.iterate)

    async def _steps(self, newest: list[Version], includes: Sequence[Include], steps: int = 0) -> None:
        steps_max = self._services.settings.include_steps_max
        while newest and includes:
            start = len(self._found)
            await self._step(newest, includes)
            newest, includes, steps = self._found[start:], self._following, steps + 1
            if newest and steps > steps_max:
                raise TooCostly(f"The page includes what is more than {steps_max} references away")

    async def _step(self, versions: Sequence[Version], includes: Sequence[Include]) -> None:
        tokens = needs_tokens(self._following)
        targets = self._asked_of_targets(versions, includes)
        await self._audit_events()
        for predicate, types in targets:
            await self._all(predicate, types, tokens=tokens)
        for predicate, types in self._asked_of_canonicals(versions, includes):
            await self._all(predicate, types, tokens=tokens, beside=True)
        sources = self._referring(versions, includes)
        predicate, types = self._asked_of_sources(sources)
        if types:
            await self._all(predicate, types, tokens=tokens, beside=True)
        await self._events_about(sources)

    def _referring(
        self, versions: Sequence[Version], includes: Sequence[Include]
    ) -> Mapping[str, AbstractSet[str]]:
        """By type, the tokens of what refers to one of `versions`."""
        try:
            return referring(versions, includes, tokens_max=self._tokens_max)
        except TooCostly as error:
            raise Overfull(str(error)) from error

    def _asked_of_targets(self, versions: Sequence[Version], includes: Sequence[Include]) -> list[_Asked]:
        """By type, and the AuditEvents apart."""
        by_type: dict[str, set[str]] = defaultdict(set)
        for key in self._referred.new(included(versions, includes)):
            by_type[key.type].add(key.id)
        self._events = sorted(by_type.pop("AuditEvent", ()))
        asked = {resource_type: WithId(frozenset(ids)) for resource_type, ids in by_type.items()}
        return self._asked_of_types(asked)

    def _asked_of_canonicals(self, versions: Sequence[Version], includes: Sequence[Include]) -> list[_Asked]:
        return self._asked_of_types(named(versions, includes))

    def _asked_of_types(self, wanted: Mapping[str, Predicate]) -> list[_Asked]:
        """What is wanted of each type, within what the caller sees of it."""
        return [
            (all_of(predicate, access.right.predicate), frozenset((resource_type,)))
            for resource_type, predicate in wanted.items()
            if (access := self._releasing.access(resource_type))
        ]

    async def _audit_events(self) -> None:
        """They are not among the resources of the store."""
        for id in self._events:
            event = await audit_event(id, self._services)
            if event is not None:
                self._take([event])

    async def _events_about(self, sources: Mapping[str, AbstractSet[str]]) -> None:
        """The AuditEvents that have one of the tokens. Raises Overfull when they are too many."""
        if await self._part_of_events(sources, None, EVENTS_MAX) is not None:
            raise Overfull(f"The page includes more than {EVENTS_MAX} AuditEvents: ask for fewer matches")

    async def _part_of_events(
        self, sources: Mapping[str, AbstractSet[str]], after: Position | None, count: int
    ) -> Position | None:
        """Up to `count` of them behind `after`, the oldest first; where the rest begins."""
        tokens = sources.get(LOGGED)
        access = self._releasing.access(LOGGED)
        if not tokens or access is None:
            return None
        predicate = all_of(AnyToken(frozenset(tokens)), access.right.predicate, self._consented)
        left = min(count, EVENTS_MAX)
        after = after or _LEDGER
        while left > 0:
            page = await audit_page(
                predicate,
                newest_first=False,
                after=after,
                count=min(left, _EVENTS_AT_ONCE),
                services=self._services,
            )
            self._take(page.versions)
            if page.next is None:
                return None
            after, left = page.next, left - len(page.versions)
        return after

    def _asked_of_sources(self, by_type: Mapping[str, AbstractSet[str]]) -> _Asked:
        """What has one of these tokens of its type: types that the caller sees alike are asked together."""
        asked: dict[Predicate, set[str]] = defaultdict(set)
        types = set()
        parts = []
        for resource_type, values in by_type.items():
            access = self._releasing.access(resource_type)
            if access is None or resource_type == LOGGED:
                continue
            types.add(resource_type)
            if resource_type == "Group":
                shown = asking_of_shown_members(AnyToken(frozenset(values)), access.right)
                parts.append(all_of(shown, access.right.predicate))
            else:
                asked[access.right.predicate] |= values
        parts += [all_of(AnyToken(frozenset(values)), right) for right, values in asked.items()]
        return any_of(*parts), frozenset(types)

    async def _all(
        self, predicate: Predicate, types: frozenset[str], *, tokens: bool, beside: bool = False
    ) -> None:
        """Take all that it is true of, page by page: pages are bounded in bytes."""
        onward = await self._some(predicate, types, None, _AT_ONCE, tokens=tokens, beside=beside)
        while onward is not None:
            onward = await self._some(predicate, types, onward, _AT_ONCE, tokens=tokens, beside=beside)

    async def _some(
        self,
        predicate: Predicate,
        types: frozenset[str],
        after: Position | None,
        count: int,
        *,
        tokens: bool,
        beside: bool,
    ) -> Position | None:
        """
        Take a page of what it is true of, `beside` what is referred to of it; where the next one begins.
        """
        page = await self._services.store.page(
            all_of(predicate, self._consented, self._releasing.left_of_app_state(types)),
            types=types,
            order=_ORDER,
            after=after,
            count=count,
            tokens=tokens or self._releasing.needs_tokens(types),
        )
        async for some in self._referred.in_place_of(page.versions, beside=beside):
            self._take(some)
        return page.next

    def _take(self, versions: Iterable[Version]) -> None:
        for version in self._releasing.released(versions):
            if (version.key, version.number) in self._known:
                continue
            self._known.add((version.key, version.number))
            self._found.append(version)
            self._bytes += len(version.body or b"")
        # How many there are is not said: not all of them may be the caller's to know.
        limit = self._services.settings.includes_max
        if len(self._found) > limit:
            raise Overfull(f"The page includes more than {limit} resources: ask for fewer matches")
        if self._bytes > BYTES_MAX and len(self._found) > 1:
            raise Overfull(f"What the page includes has more than {BYTES_MAX} bytes: ask for fewer matches")


_Asked = tuple[Predicate, frozenset[str]]
"""What is looked for, and in which types; no types when there is nothing to look for."""


def _is_of_ledger(place: Position) -> bool:
    """Of what is not in the ledger the order of creation has no value beside the sequence."""
    return place.value is not None
