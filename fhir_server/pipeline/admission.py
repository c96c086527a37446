"""
Authorize and consent: from a caller and what is asked to what may be touched.

A right is 403 when no scope covers the type and the interaction at all; what it leaves out is
hidden, so 404. Consent never widens what scopes and policy give.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from fhir_server.interactions.access import Access
from fhir_server.pipeline.services import Services
from fhir_server.policy.context import Context, Right, right
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Forbidden
from fhir_server.search.predicates.predicate import Predicate, all_of, any_of, of_types
from fhir_server.smart.caller import Caller
from fhir_server.smart.scopes import Permission, covering

_WRITES = frozenset("cud")


def admit(
    caller: Caller, resource_type: str, permission: Permission, now: datetime, services: Services
) -> Access:
    """What `caller` may touch of this type. Raises Forbidden when no scope covers it."""
    granted = right_of(caller, resource_type, permission)
    consents = services.consents
    return Access(granted, lambda patients: consents.decide(patients, caller, now).permitted)


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
    return Access(together, lambda patients: services.consents.decide(patients, caller, now).permitted)


@lru_cache(maxsize=16_384)
def right_of(caller: Caller, resource_type: str, permission: Permission) -> Right:
    """What scopes and policy leave to `caller`. Raises Forbidden when that is nothing at all."""
    scopes = covering(caller.scopes, resource_type, permission)
    if not scopes:
        raise Forbidden(f"No scope of this token covers `{permission}` on {resource_type}")
    whole = {scope.context for scope in scopes if not scope.is_granular}
    bound = frozenset(
        Context(scope.context, caller.user, caller.patient, scope.within)
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


def all_types() -> frozenset[str]:
    """Each concrete resource type of R4."""
    return definitions().resource_types
