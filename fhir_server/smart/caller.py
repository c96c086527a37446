"""
Who is asking, as a verified token says it.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.smart.scopes import Scope


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """
    A caller whose token holds; one object per verified token, compared by identity.

    `client` is the client_id; `user` a reference (`Practitioner/7`, from fhirUser) or None for
    a system; `patient` the id of the launch context; `purpose` a PurposeOfUse code (`TREAT`);
    `token_id` the jti, the only part of the token that is ever recorded. It was `issued` and `expires` in
    seconds since 1970. `words` are the scopes that are no right to resources (`openid`); `account` is the
    id of the user who granted it to an app, `grant` that of what was granted: both None when no user did.
    `state_codes` are the tokens of the codes that its client keeps state under.
    """

    client: str
    subject: str
    scopes: tuple[Scope, ...]
    user: str | None
    patient: str | None
    purpose: str
    token_id: str
    expires: int
    issued: int = 0
    words: frozenset[str] = frozenset()
    account: str | None = None
    grant: str | None = None
    state_codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Contact:
    """The circumstances of one request: where it came from and what it is called in the logs."""

    request_id: str
    address: str
