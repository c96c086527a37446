"""
A back-end service asks for a token of its own: what it may get.

https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

from __future__ import annotations

from typing import Final

from fhir_server.search.values.site import Site
from fhir_server.smart.clients import Client
from fhir_server.smart.refusals import OAuthRefused
from fhir_server.smart.scopes import SCOPE_CHARACTERS_MAX, narrowed, words
from fhir_server.smart.tokens import Grant

LIFETIME_SECONDS: Final = 300


def granted_to(client: Client, scope: str, known_types: frozenset[str], site: Site) -> Grant:
    """As much of `scope` as the client was registered for. Raises OAuthRefused when that is nothing."""
    if not scope or len(scope) > SCOPE_CHARACTERS_MAX:
        raise OAuthRefused("invalid_scope", f"`scope` has 1 to {SCOPE_CHARACTERS_MAX} characters")
    allowed = narrowed(scope, client.scope, known_types, site)
    others = [word for word in words(scope) if word in words(client.scope)]
    allowed = " ".join((*allowed.split(), *others))
    if not allowed:
        raise OAuthRefused("invalid_scope", "Nothing of `scope` is what this client is registered for")
    return Grant(client.id, allowed, LIFETIME_SECONDS)
