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

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from fhir_server.pipeline.admission import restriction, right_of
from fhir_server.pipeline.auditing import audit_page
from fhir_server.pipeline.services import Services
from fhir_server.policy.redaction import asking_of_shown_members
from fhir_server.r4.errors import Forbidden, TooCostly
from fhir_server.r4.fhirpath.references import target_of
from fhir_server.search.chains import LOGGED
from fhir_server.search.predicate import (
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
from fhir_server.search.results import SortKey
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import contexts
from fhir_server.store.explaining import stage
from fhir_server.store.positions import Position

FEW: Final = 1_000
"""Resources that either side may have before the other one is tried."""

_EVENTS_AT_ONCE: Final = 200


def relaxed(predicate: Predicate) -> Predicate:
    """
    Without the questions about other resources: true wherever they could make it true.

    For superseded versions, which are shown as they are now only if that matches all of it.
    """
    return rewritten(_positive(predicate), lambda _: Everything())


def _positive(predicate: Predicate) -> Predicate:
    """A negated part that asks elsewhere says nothing either way."""
    match predicate:
        case And(parts=parts):
            return all_of(*map(_positive, parts))
        case Or(parts=parts):
            return any_of(*map(_positive, parts))
        case Not() if asks_elsewhere(predicate):
            return Everything()
        case _:
            return predicate


class Settling:
    """Settles the questions of one search, for one caller under one set of consents."""

    def __init__(self, caller: Caller, services: Services, consented: Predicate) -> None:
        self._caller = caller
        self._services = services
        self._consented = consented
        self._most = services.settings.join_matches_max

    async def settled(self, predicate: Predicate, types: frozenset[str]) -> Predicate:
        """
        `predicate` of resources of `types`, without questions.

        Raises Forbidden when no scope covers what is asked about, TooCostly beyond the limits.
        """
        if not asks_elsewhere(predicate):
            return predicate
        # The ledger is asked by what it has alone: nothing is looked up in it beforehand.
        within = None if LOGGED in types else self._visible(types)
        with stage("joins"):
            return self._of_shown_members(await self._settled(predicate, types, within), types)

    def ordered(self, order: Sequence[SortKey]) -> tuple[SortKey, ...]:
        """The order, by what the caller may see at the ends of its chains. Raises Forbidden as `settled`."""
        return tuple(map(self._key, order))

    def _key(self, key: SortKey) -> SortKey:
        if key.end is None:
            return key
        if "Group|member" in key.end.names and not self._shows_all_members(frozenset(("Group",))):
            raise Forbidden("The members of a Group are not all shown to this caller, nor sorted by")
        end = replace(key.end, key=self._key(key.end.key), of=self._visible(key.end.types))
        return replace(key, end=end)

    async def _settled(
        self, predicate: Predicate, types: frozenset[str], within: Predicate | None
    ) -> Predicate:
        """`within` is true of all that is in question; None where that must not be looked up."""
        match predicate:
            case Elsewhere(question=Refers() as question):
                return await self._refers(question, types, within)
            case Elsewhere(question=ReferredTo() as question):
                return await self._referred_to(question, types, within)
            case And(parts=parts):
                return await self._all(parts, types, within)
            case Or(parts=parts):
                return any_of(*[await self._settled(part, types, within) for part in parts])
            case Not(part=part):
                # What is known only of what there is now would be wrong of what comes meanwhile.
                return none_of(await self._settled(part, types, None))
            case _:
                return predicate

    async def _all(
        self, parts: Iterable[Predicate], types: frozenset[str], within: Predicate | None
    ) -> Predicate:
        """Each question is asked of what the parts before it leave; what is plain comes first."""
        settled: list[Predicate] = []
        for part in sorted(parts, key=asks_elsewhere):
            left = None if within is None else all_of(*settled, within)
            settled.append(await self._settled(part, types, left))
        return all_of(*settled)

    async def _refers(self, question: Refers, types: frozenset[str], within: Predicate | None) -> Predicate:
        visible = await self._visible_for(question.of, question.types)
        for most in self._attempts():
            keys: AbstractSet[str] | None = await self._services.store.keys(
                visible, types=question.types, most=most
            )
            if keys is None and within is not None:
                keys = await self._referred_by(within, types, question, visible, most)
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

    async def _referred_to(
        self, question: ReferredTo, types: frozenset[str], within: Predicate | None
    ) -> Predicate:
        sources = frozenset((question.type,))
        visible = await self._visible_for(question.of, sources)
        for most in self._attempts():
            keys = await self._references(visible, sources, question.names, most)
            if keys is None and within is not None:
                candidates = await self._services.store.keys(within, types=types, most=most)
                if candidates is not None:
                    about = all_of(_referring(question.names, candidates), visible)
                    keys = await self._references(about, sources, question.names, self._most)
            if keys is not None:
                return _named(keys, types)
        raise self._too_costly()

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
        return all_of(await self.settled(self._of_shown_members(of, types), types), self._visible(types))

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

    def _attempts(self) -> tuple[int, ...]:
        return (min(FEW, self._most), self._most)

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
