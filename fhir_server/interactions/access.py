"""
What one caller may touch, decided: the restriction that scopes and policy leave, and consent.

Interactions ask `sees` and `admits`; they never learn why. The two answers differ on purpose:
what is not seen does not exist for the caller (404), what is not admitted is a write of the
caller's own content that goes too far (403).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_server.policy.app_state import Share
from fhir_server.policy.context import Right
from fhir_server.r4.errors import Forbidden, NotFound
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Everything, OfPatients, OnlyOfPatients
from fhir_server.search.predicates.version import Version


@dataclass(frozen=True, slots=True)
class Access:
    """
    `consented` says whether the consents of these patients let the caller through; `app_state` what is left
    of a type that may be app state: of others it is None.
    """

    right: Right
    consented: Callable[[Sequence[str]], bool]
    app_state: Share | None = None

    @property
    def needs_tokens(self) -> bool:
        """Does judging a version take its search tokens, and not its patients alone?"""
        simple = isinstance(self.right.predicate, Everything | OfPatients | OnlyOfPatients)
        return not simple or self.app_state is not None

    def sees(self, version: Version) -> bool:
        """May the caller know that this version exists?"""
        return matches(self.right.predicate, version) and self._lets_through(version)

    def reaches(self, version: Version) -> bool:
        """Is this resource of another type within the caller's reach, whatever the criteria of the scopes?"""
        return matches(self.right.reach, version) and self._lets_through(version)

    def _lets_through(self, version: Version) -> bool:
        if self.app_state is not None and not matches(self.app_state.left(), version):
            return False
        return self.consented(version.entry.patients)

    def require_seen(self, version: Version) -> None:
        """Raises NotFound, worded as for a resource that never was, unless the caller sees it."""
        if not self.sees(version):
            raise not_known(version.key)

    def require_admitted(self, proposed: Version) -> None:
        """Raises Forbidden when the caller may not make this the state of the resource."""
        if not self.sees(proposed):
            raise Forbidden(f"This {proposed.key.type} is outside of what the caller may write")


def not_known(key: Key) -> NotFound:
    """One wording for absent and hidden."""
    return NotFound(f"{key} is not known")
