"""
What the token endpoint refuses with: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
"""

from __future__ import annotations

from typing import Final, Literal

ErrorCode = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "temporarily_unavailable",
    "invalid_token",
    "insufficient_scope",
    "invalid_redirect_uri",
    "invalid_client_metadata",
]

BEARER: Final[frozenset[ErrorCode]] = frozenset(("invalid_token", "insufficient_scope"))
"""Of who comes with an access token: https://www.rfc-editor.org/rfc/rfc6750#section-3.1"""

_STATUS: Final[dict[ErrorCode, int]] = {
    "invalid_client": 401,
    "temporarily_unavailable": 503,
    "invalid_token": 401,
    "insufficient_scope": 403,
}


class OAuthRefused(Exception):
    """
    No token; `error` is OAuth's word for why, the message is for whoever wrote the client.

    `status` is that of the answer over HTTP, where OAuth's own says less (415 of what is no form). With a
    `challenge` it names the scheme by which the client tried to prove itself.
    """

    def __init__(
        self, error: ErrorCode, description: str, status: int | None = None, *, challenge: bool = False
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status or _STATUS.get(error, 400)
        self.challenge = challenge
        self.client: str | None = None
        """The client, once it is known who it is."""
        self.claimed: str | None = None
        """The registered client that it says it is, without having proven it: for the record."""


class TooOften(OAuthRefused):
    """
    This client has come more often than it may; `seconds` later it is let through.

    https://www.rfc-editor.org/rfc/rfc6585#section-4
    """

    def __init__(self, client: str, seconds: int) -> None:
        super().__init__(
            "temporarily_unavailable", f"This client asks too often; try again in {seconds} seconds", 429
        )
        self.client = client
        self.seconds = seconds
