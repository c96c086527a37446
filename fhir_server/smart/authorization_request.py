"""
What an app asks a person for: the parameters of /auth/authorize, checked in order.

First where an answer may go: an unknown client or an address that it has not registered is told to the person
on a page, and nobody is redirected. Everything else that is wrong is told to the app, at its own address.

https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-authorization-code,
https://www.rfc-editor.org/rfc/rfc6749#section-4.1, https://www.rfc-editor.org/rfc/rfc7636
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlencode, urlsplit

from fhir_server.search.values.site import Site
from fhir_server.smart.clients import Client
from fhir_server.smart.scopes import SCOPE_CHARACTERS_MAX, granted, narrowed, words

STATE_CHARACTERS_MAX: Final = 2_000
NONCE_CHARACTERS_MAX: Final = 500
LAUNCH_CHARACTERS_MAX: Final = 200

AuthorizeError = Literal[
    "invalid_request",
    "unsupported_response_type",
    "invalid_scope",
    "access_denied",
    "login_required",
    "consent_required",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "temporarily_unavailable",
]

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url: https://www.rfc-editor.org/rfc/rfc7636#section-4.2"""
_BASE_URL: Final = re.compile(r"[A-Za-z]+://[A-Za-z0-9.:\[\]-]+[A-Za-z0-9._~:/!$&'()*+,;=%-]*")
_PROMPTS: Final = frozenset(("none", "login", "consent", "select_account"))


class Unredirectable(Exception):
    """There is no address that this may be answered to; the message is for the person in front of it."""


class AuthorizationRefused(Exception):
    """No code: `error` for the app, at the address that it registered, with its `state`."""

    def __init__(self, error: AuthorizeError, description: str) -> None:
        super().__init__(description)
        self.error = error


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where the answer goes, and the state that the app has there; None when it sent none."""

    redirect_uri: str
    state: str | None

    def with_told(self, told: Mapping[str, str], issuer: str) -> str:
        """
        The URL that the browser is sent to, with the state as it came, and who answers.

        https://www.rfc-editor.org/rfc/rfc9207
        """
        stated = {} if self.state is None else {"state": self.state}
        query = urlencode({**told, **stated, "iss": issuer}, quote_via=quote)
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{query}"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """
    One that may be answered: `scope` is as much of what was asked for as the client may get.

    `launch` is what the EHR gave, `seconds_max` how old a login may be.
    """

    client: str
    redirect_uri: str
    state: str
    scope: str
    challenge: str
    nonce: str | None
    launch: str | None
    prompt: frozenset[str]
    seconds_max: int | None


def return_address(told: Sequence[tuple[str, str]], client: Client | None) -> ReturnAddress:
    """Where the answer to these parameters may go. Raises Unredirectable."""
    names = [name for name, _ in told]
    if names.count("client_id") != 1 or client is None:
        raise Unredirectable("The app that sent you here is not registered with this server.")
    if not client.is_app:
        raise Unredirectable("What sent you here is registered as a service that nobody signs in to.")
    uris = [value for name, value in told if name == "redirect_uri"]
    if len(uris) != 1 or uris[0] not in client.redirect_uris:
        raise Unredirectable(
            "The app that sent you here asks to be answered at an address it has not registered."
        )
    states = [value for name, value in told if name == "state"]
    state = states[0] if len(states) == 1 and 0 < len(states[0]) <= STATE_CHARACTERS_MAX else None
    return ReturnAddress(uris[0], state)


def authorization_request(
    told: Sequence[tuple[str, str]], client: Client, known_types: frozenset[str], site: Site
) -> AuthorizationRequest:
    """What is asked for. Raises AuthorizationRefused."""
    if len(dict(told)) < len(told):
        raise AuthorizationRefused("invalid_request", "A parameter is given more than once")
    # https://www.rfc-editor.org/rfc/rfc6749#section-3.1: without a value it is as good as not there.
    parameters = {name: value for name, value in told if value}
    for check in CHECKS:
        check(parameters, site)
    scope = _scope(parameters, client, known_types, site)
    age = parameters.get("max_age")
    return AuthorizationRequest(
        client.id,
        parameters["redirect_uri"],
        parameters["state"],
        scope,
        parameters["code_challenge"],
        parameters.get("nonce"),
        parameters.get("launch"),
        frozenset(parameters.get("prompt", "").split()),
        None if age is None else int(age),
    )


def _response_type(told: Mapping[str, str], _site: Site) -> None:
    for name in ("request", "request_uri"):
        if name in told:
            error: AuthorizeError = (
                "request_not_supported" if name == "request" else "request_uri_not_supported"
            )
            raise AuthorizationRefused(error, "The parameters are given one by one")
    if told.get("response_type") != "code":
        raise AuthorizationRefused("unsupported_response_type", "`response_type` is code")
    if told.get("response_mode", "query") != "query":
        raise AuthorizationRefused("invalid_request", "`response_mode` is query")


def _state(told: Mapping[str, str], _site: Site) -> None:
    if not 0 < len(told.get("state", "")) <= STATE_CHARACTERS_MAX:
        raise AuthorizationRefused("invalid_request", f"`state` has 1 to {STATE_CHARACTERS_MAX} characters")


def _challenge(told: Mapping[str, str], _site: Site) -> None:
    if told.get("code_challenge_method") != "S256":
        raise AuthorizationRefused("invalid_request", "`code_challenge_method` is S256")
    if not _CHALLENGE.fullmatch(told.get("code_challenge", "")):
        raise AuthorizationRefused("invalid_request", "`code_challenge` is a SHA-256 in base64url")


def _audience(told: Mapping[str, str], site: Site) -> None:
    stated = [told[name] for name in ("aud", "resource") if name in told]
    if not stated or not all(_is_same_place(one, site.base_url) for one in stated):
        raise AuthorizationRefused("invalid_request", f"`aud` is {site.base_url}")


def _launch(told: Mapping[str, str], _site: Site) -> None:
    launched = "launch" in told.get("scope", "").split(" ")
    if launched != ("launch" in told):
        raise AuthorizationRefused(
            "invalid_request", "`launch` comes with the scope `launch`, and that with it"
        )
    if len(told.get("launch", "")) > LAUNCH_CHARACTERS_MAX:
        raise AuthorizationRefused("invalid_request", "`launch` is not one that this server made")


def _identity(told: Mapping[str, str], _site: Site) -> None:
    """https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest"""
    prompts = told.get("prompt", "").split()
    if not _PROMPTS.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise AuthorizationRefused("invalid_request", "`prompt` is none, or some of login and consent")
    if len(told.get("nonce", "")) > NONCE_CHARACTERS_MAX:
        raise AuthorizationRefused("invalid_request", f"`nonce` has up to {NONCE_CHARACTERS_MAX} characters")
    if not re.fullmatch(r"[0-9]{1,9}", told.get("max_age", "0")):
        raise AuthorizationRefused("invalid_request", "`max_age` is a number of seconds")


CHECKS: Final[tuple[Callable[[Mapping[str, str], Site], None], ...]] = (
    _response_type,
    _state,
    _challenge,
    _audience,
    _launch,
    _identity,
)


def _scope(told: Mapping[str, str], client: Client, known_types: frozenset[str], site: Site) -> str:
    """As much of it as the client may get: what is not known, or not agreed on, is left out."""
    asked = told.get("scope", "")
    if not asked or len(asked) > SCOPE_CHARACTERS_MAX:
        raise AuthorizationRefused("invalid_scope", f"`scope` has 1 to {SCOPE_CHARACTERS_MAX} characters")
    allowed = narrowed(asked, client.scope, known_types, site)
    of_people = [one.text for one in granted(allowed, known_types, site) if one.context != "system"]
    agreed = words(client.scope)
    others = [word for word in words(asked) if word in agreed]
    if not of_people and not others:
        raise AuthorizationRefused("invalid_scope", "Nothing of `scope` is what this app is registered for")
    return " ".join((*others, *of_people))


def _is_same_place(url: str, base_url: str) -> bool:
    """Both may be no address that can be taken apart: then they are the same as texts alone."""
    place = _place(url)
    return url == base_url or (place is not None and place == _place(base_url))


def _place(url: str) -> tuple[str, str, int | None, str] | None:
    """A base URL as what it is the address of; None for what is no base URL."""
    if not _BASE_URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return parts.scheme, (parts.hostname or ""), port, parts.path.removesuffix("/")
