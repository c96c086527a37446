"""
Chains, `_has` and `_list` settled: from questions about other resources to what a store can be asked.

A question is asked within what the caller may see of those other resources - scopes, policy and
consent, as if it were a search of its own - so that nothing hidden can be found out by asking around a
corner, and a limit is met by what the caller could be shown. It comes to a set of tokens or ids:

* forward: those other resources are few; what refers to them, or is referred to by them, is meant;
* backward: what the rest of the search leaves is little; only of what belongs to it is asked.

Whichever is small is taken; when neither is within `join_matches_max` the search is refused. Each
question is of the moment when it is asked, so what changes meanwhile may fall on either side.

https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.pipeline.admission import all_types
from fhir_server.pipeline.services import Services
from fhir_server.pipeline.sight import Sight
from fhir_server.policy.redaction import tells_of_members
from fhir_server.r4.errors import Forbidden, TooCostly
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.asking.results import SortKey
from fhir_server.search.predicates.canonical import are_canonical, names_of, plain
from fhir_server.search.predicates.containing import containing, is_exact, of_contained
from fhir_server.search.predicates.predicate import (
    And,
    AnyToken,
    Elsewhere,
    Everything,
    Not,
    Nothing,
    Or,
    Predicate,
    ReferredTo,
    Refers,
    WithKey,
    all_of,
    any_of,
    none_of,
    of_types,
)
from fhir_server.search.predicates.rewriting import asks_elsewhere, rewritten
from fhir_server.smart.caller import Caller
from fhir_server.store.explaining import stage

Attempts = tuple[tuple[int, int], ...]
"""How many resources may be joined, forward and backward, one try after the other; 0 is not to try."""

FEW: Final = 1_000

_LITTLE: Final[Attempts] = ((200, FEW),)
"""More than 200 tokens no index gives in an order of its own: MongoDB would sort whatever has them."""

_BACKWARD: Final[Attempts] = ((0, FEW),)
_ASKED_AT_ONCE: Final = 8

_EVENTS_AT_ONCE: Final = 200


def relaxed(predicate: Predicate) -> Predicate:
    """
    Without the questions about other resources: true wherever they could make it true.

    For superseded versions, which are shown as they are now only if that matches all of it.
    """

    def open_question(part: Predicate) -> Predicate | None:
        # A negated part that asks elsewhere says nothing either way.
        is_open = isinstance(part, Elsewhere) or (isinstance(part, Not) and asks_elsewhere(part))
        return Everything() if is_open else None

    return rewritten(predicate, open_question)


@dataclass(frozen=True, slots=True)
class _Scope:
    """
    What a question is asked of: resources of `types`, of all of which `within` is true.

    `within` is None where they must not be looked up; `fixed` says that no others count.
    """

    types: frozenset[str]
    within: Predicate | None
    attempts: Attempts
    fixed: bool = False


class Settling:
    """Settles the questions of one search, for one caller under one set of consents."""

    def __init__(self, caller: Caller, services: Services, consented: Predicate) -> None:
        self._services = services
        self._sight = Sight(caller, services, consented)
        most = services.settings.join_matches_max
        self._most = most
        self._all_attempts = (*((min(one, most), min(other, most)) for one, other in _LITTLE), (most, most))
        self._contained_before: dict[tuple[Predicate, frozenset[str], frozenset[str]], Predicate] = {}
        self._whole_before: dict[tuple[Predicate, frozenset[str], Attempts], Predicate | None] = {}

    async def settled(self, predicate: Predicate, types: frozenset[str], *, few: bool = False) -> Predicate:
        """
        `predicate` of resources of `types`, without questions; with `few` only if that takes little.

        Raises Forbidden when no scope covers what is asked about, TooCostly beyond the limits.
        """
        if not asks_elsewhere(predicate):
            return predicate
        self._sight.require_covered(predicate)
        with stage("joins"):
            return await self._settled_all(predicate, types, _LITTLE if few else self._all_attempts)

    async def judged(self, predicate: Predicate, types: frozenset[str], keys: Iterable[str]) -> Predicate:
        """`predicate` without questions, true of those of `keys` of which it is true, whatever of others."""
        self._sight.require_covered(predicate)
        with stage("joins"):
            return await self._settled_among(predicate, types, _named(keys, types))

    async def contained(self, predicate: Predicate, types: frozenset[str]) -> tuple[Predicate, Predicate]:
        """
        True of what contains a resource of `types` for which `predicate` is true: as it is judged, and as it
        is searched for.
        """
        self._sight.require_covered(predicate)
        with stage("joins"):
            return await self._contained(predicate, types, frozenset(), all_types() - {LOGGED})

    def ordered(self, order: Sequence[SortKey]) -> tuple[SortKey, ...]:
        """The order, by what the caller may see at the ends of its chains. Raises Forbidden as `settled`."""
        return tuple(map(self._key, order))

    def _key(self, key: SortKey) -> SortKey:
        if key.end is None:
            return key
        sorted_by = (*key.end.names, *(f"{type}|{key.end.key.parameter or ''}" for type in key.end.types))
        tells = any(map(tells_of_members, sorted_by))
        if tells and not self._sight.shows_all_members(frozenset(("Group",))):
            raise Forbidden("The members of a Group are not all shown to this caller, nor sorted by")
        end = replace(key.end, key=self._key(key.end.key), of=self._sight.visible(key.end.types))
        return replace(key, end=end)

    async def _settled_all(
        self, predicate: Predicate, types: frozenset[str], attempts: Attempts
    ) -> Predicate:
        # The ledger is asked by what it has alone: nothing is looked up in it beforehand.
        within = None if LOGGED in types else self._sight.visible(types)
        settled = await self._settled(predicate, _Scope(types, within, attempts))
        return self._sight.as_shown(settled, types)

    async def _settled_among(
        self, predicate: Predicate, types: frozenset[str], within: Predicate
    ) -> Predicate:
        """True of what `within` is true of where `predicate` is, whatever of others."""
        if LOGGED in types:
            return await self._settled_all(predicate, types, self._all_attempts)
        scope = _Scope(types, all_of(within, self._sight.visible(types)), _BACKWARD, fixed=True)
        return self._sight.as_shown(await self._settled(predicate, scope), types)

    async def _settled(self, predicate: Predicate, scope: _Scope) -> Predicate:
        match predicate:
            case Elsewhere(question=Refers() as question):
                return await self._refers(question, scope)
            case Elsewhere(question=ReferredTo() as question):
                return await self._referred_to(question, scope)
            case And(parts=parts):
                return await self._all(parts, scope)
            case Or(parts=parts):
                return any_of(*[await self._settled(part, scope) for part in parts])
            case Not(part=part):
                # What is known only of what there is now would be wrong of what comes meanwhile.
                return none_of(
                    await self._settled(part, scope if scope.fixed else replace(scope, within=None))
                )
            case _:
                return predicate

    async def _all(self, parts: Iterable[Predicate], scope: _Scope) -> Predicate:
        """Each question is asked of what the parts before it leave; what is plain comes first."""
        settled: list[Predicate] = []
        for part in sorted(parts, key=asks_elsewhere):
            left = None if scope.within is None else all_of(*settled, scope.within)
            settled.append(await self._settled(part, replace(scope, within=left)))
        return all_of(*settled)

    async def _refers(self, question: Refers, scope: _Scope) -> Predicate:
        return any_of(await self._refers_outside(question, scope), await self._refers_inside(question, scope))

    async def _refers_inside(self, question: Refers, scope: _Scope) -> Predicate:
        """It refers to a resource that it contains."""
        names = plain(question.names)
        sources = frozenset(name.partition("|")[0] for name in names) & scope.types - {LOGGED}
        if not sources:
            return Nothing()
        within = scope.within if scope.fixed else None
        _, findable = await self._contained(question.of, question.types, names, sources, within)
        return findable

    async def _contained(
        self,
        of: Predicate,
        types: frozenset[str],
        names: frozenset[str],
        sources: frozenset[str],
        within: Predicate | None = None,
    ) -> tuple[Predicate, Predicate]:
        try:
            visible = self._sight.visible(sources) if within is None else within
        except Forbidden:
            return Nothing(), Nothing()
        visible = self._sight.shown_whole(visible, sources)
        if asks_elsewhere(of) and not await self._contains(of_types(types), names, visible, sources):
            return Nothing(), Nothing()
        scope = _Scope(types, None, self._all_attempts)
        known = (of, types, names)
        if known not in self._contained_before:
            settled = await self._settled(of_contained(all_of(of_types(types), of)), scope)
            self._contained_before[known] = containing(settled, names)
        inside = self._contained_before[known]
        if inside == Nothing():
            return inside, inside
        most = FEW if is_exact(inside) else self._most
        keys = await self._services.store.containers(inside, visible, types=sources, most=most)
        if keys is not None:
            return inside, _named(keys, sources)
        if not is_exact(inside):
            raise self._too_costly()
        return inside, self._sight.as_shown(inside, sources)

    async def _contains(
        self, wanted: Predicate, names: frozenset[str], visible: Predicate, sources: frozenset[str]
    ) -> bool:
        """Is there such a contained resource at all?"""
        inside = containing(wanted, names)
        return await self._services.store.containers(inside, visible, types=sources, most=0) is None

    async def _refers_outside(self, question: Refers, scope: _Scope) -> Predicate:
        keys: AbstractSet[str] | None = None
        for forward, backward in scope.attempts:
            visible = await self._visible_for(question, question.types, scope)
            if forward and visible is not None:
                keys = await self._known_as(visible, question.types, question.names, forward)
            if keys is None and scope.within is not None:
                keys = await self._referred_by(scope.within, scope.types, question, visible, backward)
            if keys is not None:
                return _referring(question.names, keys)
        raise self._too_costly()

    async def _referred_by(
        self, within: Predicate, types: frozenset[str], question: Refers, visible: Predicate | None, most: int
    ) -> AbstractSet[str] | None:
        """What it is true of among all that is referred to from `within`; None when that is too much."""
        referred = await self._sight.references(within, types, question.names, most)
        if referred is None:
            return None
        these = _known(referred, question.types, question.names)
        if visible is None:
            visible = await self._visible_among(question, question.types, these)
        keys = await self._known_as(all_of(these, visible), question.types, question.names, most)
        return None if keys is None else keys & referred

    async def _referred_to(self, question: ReferredTo, scope: _Scope) -> Predicate:
        sources = frozenset((question.type,))
        keys: AbstractSet[str] | None = None
        for forward, backward in scope.attempts:
            visible = await self._visible_for(question, sources, scope)
            if forward and visible is not None:
                # What is found is asked for by its id, which costs no sort of what has a token.
                most = max(forward, backward)
                keys = await self._sight.references(visible, sources, question.names, most)
            if keys is None and scope.within is not None:
                candidates = await self._known_as(scope.within, scope.types, question.names, backward)
                if candidates is not None:
                    keys = await self._referred_to_among(candidates, question, visible)
            if keys is not None:
                return _known(keys, scope.types, question.names)
        raise self._too_costly()

    async def _referred_to_among(
        self, candidates: AbstractSet[str], question: ReferredTo, visible: Predicate | None
    ) -> AbstractSet[str]:
        """Those of `candidates` that what it is true of refers to."""
        sources = frozenset((question.type,))

        async def referred(keys: Iterable[str], most: int) -> AbstractSet[str] | None:
            these = self._sight.as_shown(_referring(question.names, keys), sources)
            meant = visible
            if meant is None:
                meant = await self._visible_among(question, sources, these)
            return await self._sight.references(all_of(these, meant), sources, question.names, most)

        with suppress(TooCostly):
            keys = await referred(candidates, FEW)
            if keys is not None:
                return keys & candidates
        # Much refers to them: whether something does is asked of each.
        turns = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def is_referred_to(key: str) -> bool:
            async with turns:
                return await referred((key,), 0) is None

        asked = sorted(candidates)
        answers = await asyncio.gather(*map(is_referred_to, asked))
        return {key for key, answer in zip(asked, answers, strict=True) if answer}

    async def _known_as(
        self, predicate: Predicate, types: frozenset[str], names: frozenset[str], most: int
    ) -> AbstractSet[str] | None:
        """
        What references under `names` say that lead to what it is true of: `Type/id`, or canonical URLs. None
        when there is more than `most` of it.
        """
        if not are_canonical(names):
            return await self._services.store.keys(predicate, types=types, most=most)
        # Each may be named with its version, and without.
        tokens = await self._services.store.references(predicate, names_of(types), types=types, most=2 * most)
        return None if tokens is None else {token.split("|", 2)[2] for token in tokens}

    async def _visible_for(
        self, question: Refers | ReferredTo, types: frozenset[str], scope: _Scope
    ) -> Predicate | None:
        """What it asks, settled, of all that the caller may see of these types; None when too costly."""
        of = self._sight.as_shown(question.of, types)
        if not asks_elsewhere(of):
            return all_of(of, self._sight.visible(types))
        if scope.fixed:
            return None
        known = (of, types, scope.attempts)
        if known not in self._whole_before:
            self._whole_before[known] = None
            with suppress(TooCostly):
                settled = await self._settled_all(of, types, scope.attempts)
                self._whole_before[known] = all_of(settled, self._sight.visible(types))
        return self._whole_before[known]

    async def _visible_among(
        self, question: Refers | ReferredTo, types: frozenset[str], within: Predicate
    ) -> Predicate:
        """The same, right of what `within` is true of. Raises TooCostly."""
        of = self._sight.as_shown(question.of, types)
        return all_of(await self._settled_among(of, types, within), self._sight.visible(types))

    def _too_costly(self) -> TooCostly:
        # Which side it was is not said: how much there is may be more than the caller may know.
        return TooCostly(
            f"A chain or `_has` would join more than {self._most} resources on either side; "
            "add criteria that narrow the search"
        )


def _referring(names: Iterable[str], keys: Iterable[str]) -> Predicate:
    """It refers to one of these under one of the names."""
    values = frozenset(f"{name}|{key}" for key in keys for name in names)
    return AnyToken(values) if values else Nothing()


def _known(known_as: Iterable[str], types: frozenset[str], names: frozenset[str]) -> Predicate:
    """It is what references under `names` lead to that say one of these."""
    return _referring(names_of(types), known_as) if are_canonical(names) else _named(known_as, types)


def _named(keys: Iterable[str], types: frozenset[str]) -> Predicate:
    """It is one of these, and of one of the types."""
    named = frozenset(key for key in keys if key.partition("/")[0] in types)
    return WithKey(named) if named else Nothing()
