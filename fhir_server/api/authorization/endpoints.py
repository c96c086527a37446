"""
The authorization server's endpoints, beside the FHIR base: what is asked by forms, and what is told in JSON.

https://www.rfc-editor.org/rfc/rfc6749, https://hl7.org/fhir/smart-app-launch/
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

from fhir_server.api.any_origin import PREFLIGHT, READ
from fhir_server.api.authorization.keys import published_keys
from fhir_server.api.contact import contact_of
from fhir_server.api.flood import Flood, Source
from fhir_server.api.origins import ASKED_BY
from fhir_server.api.request import Receive, Request
from fhir_server.api.response import Headers, Response, Send
from fhir_server.pipeline.authorizing.addresses import (
    INTROSPECTION_PATH,
    JWKS_PATH,
    LAUNCH_PATH,
    REGISTRATION_PATH,
    REVOCATION_PATH,
    TOKEN_PATH,
    USERINFO_PATH,
)
from fhir_server.pipeline.authorizing.granting import token_for
from fhir_server.pipeline.authorizing.identifying import identified
from fhir_server.pipeline.authorizing.introspecting import introspected
from fhir_server.pipeline.authorizing.launching import launched
from fhir_server.pipeline.authorizing.recording import Act, record_refused
from fhir_server.pipeline.authorizing.registering import registered_by_itself
from fhir_server.pipeline.authorizing.revoking import revoked_for
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import FhirError, TooMany, Unavailable
from fhir_server.r4.resource import to_text
from fhir_server.smart.caller import Contact
from fhir_server.smart.refusals import BEARER, OAuthRefused, TooOften

log = structlog.get_logger()

FORM_BYTES_MAX: Final = 65_536
_METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    TOKEN_PATH: ("POST",),
    REVOCATION_PATH: ("POST",),
    INTROSPECTION_PATH: ("POST",),
    USERINFO_PATH: ("GET", "POST"),
    LAUNCH_PATH: ("POST",),
    REGISTRATION_PATH: ("POST",),
    JWKS_PATH: READ,
}
AUTHORIZATION: Final = frozenset(_METHODS)
"""Addresses that look for themselves at who is asking; of the keys, nobody is asked."""

_JSON: Final = b"application/json"
_PRAGMA: Final[Headers] = [(b"pragma", b"no-cache")]


class Authorization:
    """An ASGI application for the addresses in AUTHORIZATION."""

    def __init__(self, services: Services, flood: Flood) -> None:
        self._services = services
        self._flood = flood

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        contact = contact_of(scope)
        try:
            response = await self._respond(scope, receive, contact)
        except Exception as bug:  # The outermost place: what breaks has an answer, too.
            log.error("bug", request_id=contact.request_id, exc_info=bug)
            response = _error(
                500, "server_error", f"Something broke; the log knows it as {contact.request_id}"
            )
        without_body = scope["method"] == "HEAD"
        await response.send(send, request_id=contact.request_id, without_body=without_body)

    def is_public(self, scope: MutableMapping[str, Any]) -> bool:
        """Is it an address that asks nobody who they are?"""
        return bool(scope["path"] == JWKS_PATH)

    async def _respond(self, scope: MutableMapping[str, Any], receive: Receive, contact: Contact) -> Response:
        path, method, methods = scope["path"], scope["method"], _METHODS[scope["path"]]
        if path == REGISTRATION_PATH and not self._services.settings.dynamic_registration:
            return _error(404, "invalid_request", "An operator registers apps here")
        if method not in methods:
            allow = (b"allow", ", ".join(methods).encode())
            return _error(405, "invalid_request", f"It is asked by {' or '.join(methods)}", [allow])
        if path == JWKS_PATH:
            return (
                Response(204, PREFLIGHT, b"") if method == "OPTIONS" else await published_keys(self._services)
            )
        try:
            request = Request(scope, receive, FORM_BYTES_MAX, self._services.settings.request_seconds_max)
            told = await self._told(path, request, contact, scope)
        except OAuthRefused as refused:
            return await self._refused(path, refused, contact)
        except (TooMany, Unavailable) as refusal:
            if isinstance(refusal, TooMany):
                self._flood.count(Source(contact.address, _ACTS[path]))
            later = (b"retry-after", str(refusal.retry_after_seconds).encode())
            return _error(refusal.status, "temporarily_unavailable", str(refusal), [later])
        except FhirError as refusal:
            misread = OAuthRefused("invalid_request", str(refusal), refusal.status)
            return await self._refused(path, misread, contact)
        status = 201 if path == REGISTRATION_PATH else 200
        return Response(status, _PRAGMA, b"" if told is None else to_text(told), _JSON)

    async def _told(
        self, path: str, request: Request, contact: Contact, scope: MutableMapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """The answer in JSON, None where there is nothing to tell. Raises OAuthRefused, and FhirErrors."""
        authorization = request.header("authorization")
        if path == USERINFO_PATH:
            return await identified(authorization, self._services, contact)
        if path == LAUNCH_PATH:
            body = await request.body()
            return (await launched(body, authorization, self._services, contact)).told()
        if path == REGISTRATION_PATH:
            if self._flood.is_too_many(contact.address, "register"):
                raise TooMany("Too many apps from this address")
            made = await registered_by_itself(await request.body(), self._services, contact)
            return made.told()
        form = await _form(request)
        if path == INTROSPECTION_PATH:
            return await introspected(form, authorization, self._services, contact)
        if path == REVOCATION_PATH:
            await revoked_for(form, authorization, self._services, contact)
            return None
        issued = await token_for(form, authorization, self._services, contact)
        scope.setdefault("state", {})[ASKED_BY] = issued.client
        return issued.told()

    async def _refused(self, path: str, refused: OAuthRefused, contact: Contact) -> Response:
        if isinstance(refused, TooOften):
            self._flood.count(Source(contact.address, "token", client=refused.client))
            later = (b"retry-after", str(refused.seconds).encode())
            return _error(refused.status, refused.error, str(refused), [later])
        if refused.client is None and self._flood.is_too_many(contact.address, "token"):
            told = "Too many refused calls from this address"
            return _error(429, "temporarily_unavailable", told, [(b"retry-after", b"1")])
        try:
            await record_refused(_ACTS[path], refused, self._services, contact)
        except FhirError as unavailable:
            return _error(unavailable.status, "temporarily_unavailable", str(unavailable))
        return _error(refused.status, refused.error, str(refused), _challenge(refused))


_ACTS: Final[Mapping[str, Act]] = {
    TOKEN_PATH: "token",
    REVOCATION_PATH: "revocation",
    INTROSPECTION_PATH: "introspection",
    USERINFO_PATH: "userinfo",
    LAUNCH_PATH: "launch",
    REGISTRATION_PATH: "registration",
}


async def _form(request: Request) -> Mapping[str, str]:
    """
    Each parameter once; one without a value is as good as not there (RFC 6749, 3.2).

    Raises OAuthRefused, and what reading a body raises.
    """
    pairs = await request.form()
    if len(dict(pairs)) < len(pairs):
        raise OAuthRefused("invalid_request", "A parameter is given more than once")
    return {name: value for name, value in pairs if value}


def _challenge(refused: OAuthRefused) -> Headers:
    if refused.error in BEARER:
        return [(b"www-authenticate", f'Bearer error="{refused.error}"'.encode())]
    return [(b"www-authenticate", b'Basic realm="SMART"')] if refused.challenge else []


def _error(status: int, error: str, description: str, headers: Headers | None = None) -> Response:
    told = {"error": error, "error_description": description}
    return Response(status, [*_PRAGMA, *(headers or [])], to_text(told), _JSON)
