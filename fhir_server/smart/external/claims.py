"""
The claims of a token that an OpenID provider signed: who is asking, and what they may ask for.

Nothing is widened: a scope that cannot be understood, or that lacks the person it is about, is dropped; a
claim that contradicts what it is for refuses the token. What the provider says of patients and users is
believed, as far as it can be a resource of this server.

https://www.rfc-editor.org/rfc/rfc9068#section-4, https://openid.net/specs/openid-connect-core-1_0.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Caller
from fhir_server.smart.external.trust import Trust
from fhir_server.smart.scopes import Scope, granted

LIFETIME_SECONDS_MAX: Final = 30 * 24 * 3600
"""As long as a revocation is remembered; nothing that lives longer is accepted."""
CLOCK_SKEW_SECONDS: Final = 10
"""The provider's clock may be ahead so much."""
CLAIM_CHARACTERS_MAX: Final = 255
ROLES_MAX: Final = 1_000

USER_TYPES: Final = frozenset(("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"))
"""https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data"""

_OF_ID_TOKENS: Final = frozenset(("nonce", "at_hash", "c_hash"))
"""Claims of ID tokens, which are for the app that asked and open nothing."""

_REFERENCE: Final = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_PURPOSE: Final = re.compile(r"[A-Z][A-Z0-9-]{1,30}")


def caller_of(claims: Mapping[str, Any], trust: Trust, *, now: int, fallback_id: str) -> Caller:
    """
    Who bears the token that has these claims; `now` in seconds since 1970.

    `fallback_id` stands for a token without a `jti`. Raises Unauthenticated.
    """
    _require_meant_for_us(claims, trust)
    issued, expires = _times(claims, now)
    user, patient = _user(claims, trust), _patient(claims, trust)
    scopes = _scopes(claims, trust, user=user, patient=patient)
    system = all(scope.context == "system" for scope in scopes)
    return Caller(
        client=_text(claims, trust.client_claim) or _required(claims, "client_id"),
        subject=_required(claims, "sub"),
        scopes=scopes,
        user=user,
        patient=patient,
        purpose=_purpose(claims, trust) or ("HOPERAT" if system else "TREAT"),
        token_id=_text(claims, "jti") or fallback_id,
        expires=expires,
        issued=issued,
    )


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """
    The claim of that name; else, as `realm_access.roles`, one within others. None when there is none.

    The whole name first: `https://example.org/roles` has dots, too.
    """
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _require_meant_for_us(claims: Mapping[str, Any], trust: Trust) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != trust.issuer or trust.audience not in named:
        raise Unauthenticated(f"The access token is not one of {trust.issuer} for {trust.audience}")
    # Keycloak says among the claims what a token is: Bearer, ID, Refresh or Logout.
    kind = claims.get("typ")
    if kind != "Bearer" and (kind is not None or not _OF_ID_TOKENS.isdisjoint(claims)):
        raise Unauthenticated("The token is no access token")
    if "cnf" in claims:
        raise Unauthenticated("The access token is bound to a key, which is not looked at here")


def _times(claims: Mapping[str, Any], now: int) -> tuple[int, int]:
    """When it was issued and when it expires, in seconds since 1970."""
    issued, expires, begins = (_seconds(claims, name) for name in ("iat", "exp", "nbf"))
    if expires is None or issued is None or (begins is None and "nbf" in claims):
        raise Unauthenticated("The access token does not say from when until when it is valid")
    if expires <= now:
        raise Unauthenticated("The access token has expired")
    if max(issued, begins or 0) > now + CLOCK_SKEW_SECONDS:
        raise Unauthenticated("The access token is not valid at this time")
    if expires - issued > LIFETIME_SECONDS_MAX:
        raise Unauthenticated(f"The access token lives longer than {LIFETIME_SECONDS_MAX} seconds")
    return issued, expires


def _scopes(
    claims: Mapping[str, Any], trust: Trust, *, user: str | None, patient: str | None
) -> tuple[Scope, ...]:
    """Those of the token and of its roles, each once, without those that lack whom they are about."""
    own = granted(" ".join(_words(claims, trust.scope_claim)), trust.known_types, trust.site)
    roles = _words(claims, trust.roles_claim) if trust.roles_claim else []
    given = (scope for role in roles[:ROLES_MAX] for scope in trust.role_scopes.get(role, ()))
    together = {scope.text: scope for scope in (*own, *given)}
    here = {"user": user is not None, "patient": patient is not None, "system": user is None}
    return tuple(scope for scope in together.values() if here[scope.context])


def _user(claims: Mapping[str, Any], trust: Trust) -> str | None:
    told = _text(claims, trust.user_claim)
    if told is None:
        return None
    reference = told.removeprefix(f"{trust.site.base_url}/")
    match = _REFERENCE.fullmatch(reference)
    if match is None or match[1] not in USER_TYPES:
        raise Unauthenticated(
            f"`{trust.user_claim}` of the access token refers to no {', '.join(sorted(USER_TYPES))} here"
        )
    return reference


def _patient(claims: Mapping[str, Any], trust: Trust) -> str | None:
    told = _text(claims, trust.patient_claim)
    if told is None:
        return None
    id = told.removeprefix(f"{trust.site.base_url}/").removeprefix("Patient/")
    if not _ID.fullmatch(id):
        raise Unauthenticated(f"`{trust.patient_claim}` of the access token is not the id of a Patient here")
    return id


def _purpose(claims: Mapping[str, Any], trust: Trust) -> str | None:
    told = _text(claims, trust.purpose_claim) if trust.purpose_claim else None
    if told is not None and not _PURPOSE.fullmatch(told):
        raise Unauthenticated(f"`{trust.purpose_claim}` of the access token is no purpose of use")
    return told


def _required(claims: Mapping[str, Any], name: str) -> str:
    found = _text(claims, name)
    if found is None:
        raise Unauthenticated(f"The access token has no `{name}`")
    return found


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    """The claim, which is a text or is not there. Raises Unauthenticated for anything else."""
    found = claim(claims, name)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= CLAIM_CHARACTERS_MAX:
        raise Unauthenticated(
            f"`{name}` of the access token is no text of up to {CLAIM_CHARACTERS_MAX} characters"
        )
    return found


def _words(claims: Mapping[str, Any], name: str) -> list[str]:
    """The claim as a list: some providers write texts with spaces. What is neither gives nothing."""
    found = claim(claims, name)
    if isinstance(found, str):
        return found.split()
    return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []


def _seconds(claims: Mapping[str, Any], name: str) -> int | None:
    """A NumericDate, which may have a fraction."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return int(value)
