"""
Which tokens hold no more, though they have not expired: https://www.rfc-editor.org/rfc/rfc7009
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.caller import Caller


class Revocation(NamedTuple):
    """
    `name` is `token/<jti>`, `grant/<id>`, `client/<client_id>` or `user/<id>`: that token, what this grant
    gave, or what this client was given, or this user granted, up to `before`.

    After `until` none of it would hold anyway.
    """

    name: str
    before: datetime
    until: datetime


def of_token(token_id: str, now: datetime, until: datetime) -> Revocation:
    """Of one token, by its jti."""
    return Revocation(f"token/{token_id}", now, until)


def of_client(client_id: str, now: datetime, until: datetime) -> Revocation:
    """Of all that this client has been given until now."""
    return Revocation(f"client/{client_id}", now, until)


def of_grant(grant_id: str, now: datetime, until: datetime) -> Revocation:
    """Of all tokens that come from one grant of a user to an app."""
    return Revocation(f"grant/{grant_id}", now, until)


def of_user(user_id: str, now: datetime, until: datetime) -> Revocation:
    """Of all that comes from what this user has granted until now, to whichever app."""
    return Revocation(f"user/{user_id}", now, until)


class Revoked:
    """What one process knows of them."""

    def __init__(self) -> None:
        self._known: dict[str, Revocation] = {}

    def add(self, revocations: Iterable[Revocation], now: datetime) -> None:
        """Know these too, and forget what is over."""
        self._known = {name: one for name, one in self._known.items() if one.until > now}
        self._known.update((one.name, one) for one in revocations)

    def require_holds(self, caller: Caller) -> None:
        """Raises Unauthenticated when the caller's token has been revoked."""
        if not self._known:
            return
        if (
            f"token/{caller.token_id}" in self._known
            or f"grant/{caller.grant}" in self._known
            or self._were_all(f"client/{caller.client}", caller.issued)
            or self._were_all(f"user/{caller.account}", caller.issued)
        ):
            raise Unauthenticated("The access token has been revoked")

    def _were_all(self, name: str, issued: int) -> bool:
        of_all = self._known.get(name)
        return of_all is not None and issued <= int(of_all.before.timestamp())
