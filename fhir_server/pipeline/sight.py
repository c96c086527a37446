"""
What one caller may see of other resources than those that are searched, and whom these refer to.

A question about other resources is asked within this: scopes, policy and consent, as if it were a search of
its own.
"""

from __future__ import annotations

from typing import Final

from fhir_server.pipeline.admission import left_of_app_state, restriction, right_of
from fhir_server.pipeline.auditing import audit_page
from fhir_server.pipeline.services import Services
from fhir_server.policy.redaction import NO_GROUP, asking_of_shown_members
from fhir_server.r4.fhirpath.references import target_of
from fhir_server.search.asking.chains import LOGGED
from fhir_server.search.predicates.canonical import are_canonical
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Nothing,
    Predicate,
    ReferredTo,
    Refers,
    all_of,
    of_types,
)
from fhir_server.search.predicates.rewriting import questions_in
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import covering
from fhir_server.store.positions import Position

_EVENTS_AT_ONCE: Final = 200


class Sight:
    """Of one caller, under one set of consents."""

    def __init__(self, caller: Caller, services: Services, consented: Predicate) -> None:
        self._caller = caller
        self._services = services
        self._consented = consented

    def visible(self, types: frozenset[str]) -> Predicate:
        """True of what the caller may see of these types. Raises Forbidden when no scope covers any."""
        allowed = restriction(self._caller, types, "s")
        left = left_of_app_state(self._caller, types, self._services)
        return all_of(of_types(types), allowed, self._consented, left)

    def require_covered(self, predicate: Predicate) -> None:
        """Raises Forbidden when no scope covers what is asked about, whether or not it comes to that."""
        for question in questions_in(predicate):
            if isinstance(question, Refers | ReferredTo):
                types = question.types if isinstance(question, Refers) else frozenset((question.type,))
                self.visible(types)
                self.require_covered(question.of)

    def as_shown(self, predicate: Predicate, types: frozenset[str]) -> Predicate:
        """What is not shown of a Group is not asked about either."""
        if self.shows_all_members(types):
            return predicate
        return asking_of_shown_members(predicate, right_of(self._caller, "Group", "s"))

    def shown_whole(self, predicate: Predicate, types: frozenset[str]) -> Predicate:
        """`predicate`, without what the caller is not shown all of."""
        return predicate if self.shows_all_members(types) else all_of(predicate, NO_GROUP)

    def shows_all_members(self, types: frozenset[str]) -> bool:
        """Does the caller see each member of each Group, as far as Groups are among the types?"""
        return (
            "Group" not in types
            or not covering(self._caller.scopes, "Group", "s")
            or (not right_of(self._caller, "Group", "s").confined)
        )

    async def references(
        self, predicate: Predicate, types: frozenset[str], names: frozenset[str], most: int
    ) -> set[str] | None:
        """
        `Type/id` (or canonical URL, escaped) of all that resources refer to under one of `names`; None when
        that is too much.
        """
        if types == {LOGGED}:
            tokens = await self._references_of_events(predicate, names, most)
        else:
            tokens = await self._services.store.references(predicate, names, types=types, most=most)
        if tokens is None:
            return None
        if not self.shows_all_members(types):
            tokens = {
                token for token in tokens if self.as_shown(AnyToken(frozenset((token,))), types) != Nothing()
            }
        if are_canonical(names):
            return {token.split("|", 2)[2] for token in tokens}
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
