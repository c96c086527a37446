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
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.pipeline.admission import all_types, restriction, right_of
from fhir_server.pipeline.auditing import audit_page
from fhir_server.pipeline.services import Services
from fhir_server.policy.redaction import asking_of_shown_members, tells_of_members
from fhir_server.r4.errors import Forbidden, TooCostly
from fhir_server.r4.fhirpath.references import target_of
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.asking.results import SortKey
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
    WithId,
    all_of,
    any_of,
    asks_elsewhere,
    none_of,
    of_types,
    rewritten,
)
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import contexts
from fhir_server.store.explaining import stage
from fhir_server.store.positions import Position

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
        self._caller = caller
        self._services = services
        self._consented = consented
        most = services.settings.join_matches_max
        self._most = most
        self._all_attempts = (*((min(one, most), min(other, most)) for one, other in _LITTLE), (most, most))
        self._contained_before: dict[tuple[Predicate, frozenset[str], frozenset[str]], Predicate] = {}
        self._settled_before: dict[tuple[Predicate, frozenset[str]], Predicate] = {}

    async def settled(self, predicate: Predicate, types: frozenset[str], *, few: bool = False) -> Predicate:
        """
        `predicate` of resources of `types`, without questions; with `few` only if that takes little.

        Raises Forbidden when no scope covers what is asked about, TooCostly beyond the limits.
        """
        if not asks_elsewhere(predicate):
            return predicate
        # The ledger is asked by what it has alone: nothing is looked up in it beforehand.
        within = None if LOGGED in types else self._visible(types)
        scope = _Scope(types, within, _LITTLE if few else self._all_attempts)
        with stage("joins"):
            return self._of_shown_members(await self._settled(predicate, scope), types)

    async def judged(self, predicate: Predicate, types: frozenset[str], keys: Iterable[str]) -> Predicate:
        """`predicate` without questions, true of those of `keys` of which it is true, whatever of others."""
        scope = _Scope(types, all_of(_named(keys, types), self._visible(types)), _BACKWARD, fixed=True)
        with stage("joins"):
            return self._of_shown_members(await self._settled(predicate, scope), types)

    async def contained(self, predicate: Predicate, types: frozenset[str]) -> tuple[Predicate, Predicate]:
        """
        True of what contains a resource of `types` for which `predicate` is true: as it is judged, and as it
        is searched for.
        """
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
        if tells and not self._shows_all_members(frozenset(("Group",))):
            raise Forbidden("The members of a Group are not all shown to this caller, nor sorted by")
        end = replace(key.end, key=self._key(key.end.key), of=self._visible(key.end.types))
        return replace(key, end=end)

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
        sources = frozenset(name.partition("|")[0] for name in question.names) & scope.types - {LOGGED}
        if not sources:
            return Nothing()
        within = scope.within if scope.fixed else None
        _, findable = await self._contained(question.of, question.types, question.names, sources, within)
        return findable

    async def _contained(
        self,
        of: Predicate,
        types: frozenset[str],
        names: frozenset[str],
        sources: frozenset[str],
        within: Predicate | None = None,
    ) -> tuple[Predicate, Predicate]:
        scope = _Scope(types, None, self._all_attempts)
        known = (of, types, names)
        if known not in self._contained_before:
            settled = await self._settled(of_contained(all_of(of_types(types), of)), scope)
            self._contained_before[known] = containing(settled, names)
        inside = self._contained_before[known]
        if inside == Nothing():
            return inside, inside
        try:
            visible = self._visible(sources) if within is None else within
        except Forbidden:
            return Nothing(), Nothing()
        most = FEW if is_exact(inside) else self._most
        keys = await self._services.store.containers(inside, visible, types=sources, most=most)
        if keys is not None:
            return inside, _named(keys, sources)
        if not is_exact(inside):
            raise self._too_costly()
        return inside, inside

    async def _refers_outside(self, question: Refers, scope: _Scope) -> Predicate:
        visible = await self._visible_for(question.of, question.types)
        keys: AbstractSet[str] | None = None
        for forward, backward in scope.attempts:
            if forward:
                keys = await self._services.store.keys(visible, types=question.types, most=forward)
            if keys is None and scope.within is not None:
                keys = await self._referred_by(scope.within, scope.types, question, visible, backward)
            if keys is not None:
                return _referring(question.names, keys)
        raise self._too_costly()

    async def _referred_by(
        self, within: Predicate, types: frozenset[str], question: Refers, visible: Predicate, most: int
    ) -> AbstractSet[str] | None:
        """What it is true of among all that is referred to from `within`; None when that is too much."""
        referred = await self._references(within, types, question.names, most)
        if referred is None:
            return None
        ids = frozenset(key.partition("/")[2] for key in referred)
        # An id may be there once in each type.
        most *= len(question.types)
        known = await self._services.store.keys(all_of(WithId(ids), visible), types=question.types, most=most)
        return None if known is None else known & referred

    async def _referred_to(self, question: ReferredTo, scope: _Scope) -> Predicate:
        sources = frozenset((question.type,))
        visible = await self._visible_for(question.of, sources)
        keys: AbstractSet[str] | None = None
        for forward, backward in scope.attempts:
            if forward:
                # What is found is asked for by its id, which costs no sort of what has a token.
                most = max(forward, backward)
                keys = await self._references(visible, sources, question.names, most)
            if keys is None and scope.within is not None:
                candidates = await self._services.store.keys(scope.within, types=scope.types, most=backward)
                if candidates is not None:
                    keys = await self._referred_to_among(candidates, question, visible)
            if keys is not None:
                return _named(keys, scope.types)
        raise self._too_costly()

    async def _referred_to_among(
        self, candidates: AbstractSet[str], question: ReferredTo, visible: Predicate
    ) -> AbstractSet[str]:
        """Those of `candidates` that what it is true of refers to."""
        sources = frozenset((question.type,))
        about = all_of(_referring(question.names, candidates), visible)
        keys = await self._references(about, sources, question.names, FEW)
        if keys is not None:
            return keys & candidates
        # Much refers to them: whether something does is asked of each.
        turns = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def is_referred_to(key: str) -> bool:
            async with turns:
                found = all_of(_referring(question.names, (key,)), visible)
                return await self._references(found, sources, question.names, 0) is None

        asked = sorted(candidates)
        answers = await asyncio.gather(*map(is_referred_to, asked))
        return {key for key, answer in zip(asked, answers, strict=True) if answer}

    async def _references(
        self, predicate: Predicate, types: frozenset[str], names: frozenset[str], most: int
    ) -> set[str] | None:
        """`Type/id` of all that resources refer to under one of `names`; None when that is too much."""
        if types == {LOGGED}:
            tokens = await self._references_of_events(predicate, names, most)
        else:
            tokens = await self._services.store.references(predicate, names, types=types, most=most)
        if tokens is None:
            return None
        if not self._shows_all_members(types):
            tokens = {
                token
                for token in tokens
                if self._of_shown_members(AnyToken(frozenset((token,))), types) != Nothing()
            }
        targets = (target_of(token.split("|", 2)[2]) for token in tokens)
        return {str(target) for target in targets if target and not target.base and not target.version}

    async def _references_of_events(
        self, predicate: Predicate, names: frozenset[str], most: int
    ) -> set[str] | None:
        starts = tuple(f"{name}|" for name in names)
        found: set[str] = set()
        after: Position | None = None
        count = 0
        while True:
            page = await audit_page(
                predicate, newest_first=False, after=after, count=_EVENTS_AT_ONCE, services=self._services
            )
            count += len(page.versions)
            for event in page.versions:
                found.update(token for token in event.entry.tokens if token.startswith(starts))
            if count > most or len(found) > most:
                return None
            if page.next is None:
                return found
            after = page.next

    async def _visible_for(self, of: Predicate, types: frozenset[str]) -> Predicate:
        """`of`, settled itself, of what the caller may see of these types."""
        if (of, types) not in self._settled_before:
            settled = await self.settled(self._of_shown_members(of, types), types)
            self._settled_before[of, types] = all_of(settled, self._visible(types))
        return self._settled_before[of, types]

    def _visible(self, types: frozenset[str]) -> Predicate:
        return all_of(of_types(types), restriction(self._caller, types, "s"), self._consented)

    def _of_shown_members(self, predicate: Predicate, types: frozenset[str]) -> Predicate:
        """What is not shown of a Group is not asked about either."""
        if self._shows_all_members(types):
            return predicate
        return asking_of_shown_members(predicate, right_of(self._caller, "Group", "s"))

    def _shows_all_members(self, types: frozenset[str]) -> bool:
        return (
            "Group" not in types
            or not contexts(self._caller.scopes, "Group", "s")
            or (not right_of(self._caller, "Group", "s").confined)
        )

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


def _named(keys: Iterable[str], types: frozenset[str]) -> Predicate:
    """It is one of these: an id may be there once in each type."""
    ids: dict[str, set[str]] = {}
    for key in keys:
        type, _, id = key.partition("/")
        if type in types:
            ids.setdefault(type, set()).add(id)
    return any_of(
        *(all_of(of_types(frozenset((type,))), WithId(frozenset(some))) for type, some in sorted(ids.items()))
    )
