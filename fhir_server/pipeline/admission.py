"""
Authorize and consent: from a caller and what is asked to what may be touched.

A right is 403 when no scope covers the type and the interaction at all; what it leaves out is
hidden, so 404. Consent never widens what scopes and policy give.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import lru_cache

from fhir_server.interactions.access import Access
from fhir_server.pipeline.services import Services
from fhir_server.policy.app_state import TYPE as APP_STATE
from fhir_server.policy.app_state import Share
from fhir_server.policy.context import Context, Right, right
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Forbidden
from fhir_server.search.predicates.predicate import Everything, Predicate, all_of, any_of, of_types
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission, covering

_WRITES = frozenset("cud")


def admit(
    caller: Caller, resource_type: str, permission: Permission, now: datetime, services: Services
) -> Access:
    """What `caller` may touch of this type. Raises Forbidden when no scope covers it."""
    granted = right_of(caller, resource_type, permission)
    return _access(granted, caller, resource_type, now, services, writes=permission in _WRITES)


def access_to(
    caller: Caller,
    resource_type: str,
    permissions: tuple[Permission, ...],
    now: datetime,
    services: Services,
) -> Access | None:
    """What `caller` may touch of this type by any of the permissions; None when by none of them."""
    granted = [
        right_of(caller, resource_type, permission)
        for permission in permissions
        if covering(caller.scopes, resource_type, permission)
    ]
    if not granted:
        return None
    together = Right(
        any_of(*(right.predicate for right in granted)),
        any_of(*(right.reach for right in granted)),
        all(right.confined for right in granted),
    )
    return _access(together, caller, resource_type, now, services, writes=not _WRITES.isdisjoint(permissions))


def _access(
    granted: Right, caller: Caller, resource_type: str, now: datetime, services: Services, *, writes: bool
) -> Access:
    """Each time it judges it goes by the consents and the codes of app state that are known then."""
    consents = services.consents

    def consented(patients: Sequence[str]) -> bool:
        return consents.decide(patients, caller, now).permitted

    if resource_type != APP_STATE:
        return Access(granted, consented)
    return Access(granted, consented, Share(lambda: consents.app_state, caller.client, caller.user, writes))


@lru_cache(maxsize=16_384)
def right_of(caller: Caller, resource_type: str, permission: Permission) -> Right:
    """What scopes and policy leave to `caller`. Raises Forbidden when that is nothing at all."""
    scopes = covering(caller.scopes, resource_type, permission)
    if not scopes:
        raise Forbidden(f"No scope of this token covers `{permission}` on {resource_type}")
    whole = {scope.context for scope in scopes if not scope.is_granular}
    bound = frozenset(
        Context(scope.context, caller.user, caller.patient, scope.within, _state_codes(caller, resource_type))
        for scope in scopes
        if not scope.is_granular or scope.context not in whole
    )
    return right(bound, resource_type, writes=permission in _WRITES)


def restriction(caller: Caller, types: frozenset[str], permission: Permission) -> Predicate:
    """
    What scopes and policy leave to `caller` of several types; a type without a scope is left out.

    Raises Forbidden when no type is left.
    """
    by_predicate: dict[Predicate, set[str]] = {}
    refusal: Forbidden | None = None
    for resource_type in sorted(types):
        try:
            granted = right_of(caller, resource_type, permission)
        except Forbidden as error:
            refusal = error
        else:
            by_predicate.setdefault(granted.predicate, set()).add(resource_type)
    if not by_predicate and refusal is not None:
        raise refusal
    if by_predicate and len(types) == 1:
        return next(iter(by_predicate))
    return any_of(
        *(all_of(of_types(frozenset(names)), predicate) for predicate, names in by_predicate.items())
    )


def _state_codes(caller: Caller, resource_type: str) -> frozenset[str]:
    return caller.state_codes if resource_type == APP_STATE else frozenset()


def left_of_app_state(caller: Caller, types: AbstractSet[str], services: Services) -> Predicate:
    """
    What is left to `caller` of the app state among these types, to be searched.

    To be asked within `governed`, which asks again when codes have become app state meanwhile.
    """
    if APP_STATE not in types:
        return Everything()
    return services.consents.app_state.left(caller.client, caller.user, writes=False)


def all_types() -> frozenset[str]:
    """Each concrete resource type of R4."""
    return definitions().resource_types
