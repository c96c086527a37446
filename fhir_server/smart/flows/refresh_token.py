"""
An app comes with a refresh token: whether it may have another access token, and for what.

https://hl7.org/fhir/smart-app-launch/app-launch.html#refresh-access-token
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from fhir_server.search.values.site import Site
from fhir_server.smart.clients import Client
from fhir_server.smart.grants import Granted
from fhir_server.smart.refusals import OAuthRefused
from fhir_server.smart.scopes import granted as granted_scopes
from fhir_server.smart.scopes import narrowed, words

_NOT_GOOD: Final = "The refresh token is not one that this client was given, or it holds no more"


def require_refreshable(granted: Granted | None, client: Client, now: datetime) -> Granted:
    """
    The grant, if it is one of this client's that holds. Raises OAuthRefused.

    What was granted before the client was registered was granted to another one of the same id.
    """
    if granted is None or granted.client != client.id or granted.refresh is None:
        raise OAuthRefused("invalid_grant", _NOT_GOOD)
    if granted.revoked or granted.until <= now or granted.made < client.registered:
        raise OAuthRefused("invalid_grant", _NOT_GOOD)
    return granted


def scope_within(asked: str | None, granted: str, known_types: frozenset[str], site: Site) -> str:
    """
    The scope of the new access token: all that was granted, or the part that is asked for.

    Raises OAuthRefused when more is asked for than was granted.
    """
    if asked is None:
        return granted
    others = words(asked)
    fhir = [scope.text for scope in granted_scopes(asked, known_types, site)]
    within = {*words(granted), *narrowed(asked, granted, known_types, site).split(" ")}
    # A scope that is covered in part comes out as another text.
    if not {*others, *fhir} == set(asked.split(" ")) or not within.issuperset((*others, *fhir)):
        raise OAuthRefused("invalid_scope", "`scope` has a scope that was not granted")
    return asked
