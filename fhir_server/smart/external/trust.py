"""
What is believed of an OpenID provider: the settings `oidc_...` in one piece.

The provider says who somebody is and which scopes and roles they have. What a role lets them do is said here,
by the operator of this server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.search.values.site import Site
from fhir_server.settings import Settings
from fhir_server.smart.scopes import Scope, granted, parse


@dataclass(frozen=True, slots=True)
class Trust:
    """
    `issuer` and `audience` are exact. Claims are named as in the settings: whole, or by steps between dots.

    `role_scopes` are the scopes that a role gives; `known_types` and `site` what scopes are read with.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    user_claim: str
    patient_claim: str
    scope_claim: str
    client_claim: str
    roles_claim: str | None
    purpose_claim: str | None
    role_scopes: Mapping[str, tuple[Scope, ...]]
    known_types: frozenset[str]
    site: Site


def trust_of(settings: Settings, known_types: frozenset[str], site: Site) -> Trust | None:
    """
    What the settings say; None when no provider is trusted.

    Raises ValueError when a role is to give what is no scope: it would silently give less than was meant.
    """
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return Trust(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        algorithms=tuple(settings.oidc_algorithms),
        user_claim=settings.oidc_user_claim,
        patient_claim=settings.oidc_patient_claim,
        scope_claim=settings.oidc_scope_claim,
        client_claim=settings.oidc_client_claim,
        roles_claim=settings.oidc_roles_claim,
        purpose_claim=settings.oidc_purpose_claim,
        role_scopes={
            role: _of_role(role, text, known_types, site) for role, text in settings.oidc_role_scopes.items()
        },
        known_types=known_types,
        site=site,
    )


def _of_role(role: str, text: str, known_types: frozenset[str], site: Site) -> tuple[Scope, ...]:
    for word in text.split():
        if parse(word, known_types, site) is None:
            raise ValueError(f"`oidc_role_scopes` gives `{role}` the scope `{word}`, which is none")
    found = granted(" ".join(text.split()), known_types, site)
    if not found:
        raise ValueError(f"`oidc_role_scopes` gives `{role}` no scope")
    return found
