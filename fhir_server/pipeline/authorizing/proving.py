"""
Which client is it? Each proves it in the way that it registered, and in one way at a time.

What is told of a refusal does not depend on whether there is such a client. An assertion is used up by the
first who presents it: of two workers that get it at once one lets it through.

https://www.rfc-editor.org/rfc/rfc6749#section-2.3, https://www.rfc-editor.org/rfc/rfc7523#section-3
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote_plus

from fhir_server.pipeline.authorizing.addresses import token_url
from fhir_server.pipeline.services import Services
from fhir_server.smart.assertions import Refused, Unverified, unverified, verified
from fhir_server.smart.clients import Client, Method
from fhir_server.smart.jwks import JwksError
from fhir_server.smart.refusals import OAuthRefused

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CREDENTIALS_CHARACTERS_MAX: Final = 1_000
_UNKNOWN: Final = "The client is not known, or its assertion does not hold"
_NOT_PROVEN: Final = "The client is not known, or does not prove what it registered to prove"


async def proven(
    form: Mapping[str, str], authorization: str | None, services: Services, *, implied: str | None = None
) -> Client:
    """
    The client that asks; `implied` is whose refresh token it presents, if it does. Raises OAuthRefused.
    """
    method = _method_of(form, authorization)
    if method == "private_key_jwt":
        return await _by_assertion(form, services)
    if method == "client_secret_basic":
        return await _by_secret(form, authorization or "", services)
    client = await services.store.clients.get(form.get("client_id") or implied or "")
    if client is None or client.method != "none":
        raise _unproven(client, _NOT_PROVEN)
    return client


def _method_of(form: Mapping[str, str], authorization: str | None) -> Method:
    if "client_secret" in form:
        raise OAuthRefused("invalid_client", "A secret is sent in the header: Authorization: Basic")
    asserted = "client_assertion" in form or "client_assertion_type" in form
    if asserted and authorization is not None:
        raise OAuthRefused("invalid_client", "The client proves itself in one way")
    if asserted:
        return "private_key_jwt"
    return "none" if authorization is None else "client_secret_basic"


async def _by_secret(form: Mapping[str, str], authorization: str, services: Services) -> Client:
    id, secret = _credentials(authorization)
    client = await services.store.clients.get(id)
    if client is None or client.method != "client_secret_basic" or not client.knows(secret):
        raise _unproven(client, _NOT_PROVEN, challenge=True)
    if form.get("client_id", id) != id:
        raise _unproven(client, "`client_id` is not that of the header", challenge=True)
    return client


def _unproven(claimed: Client | None, why: str, *, challenge: bool = False) -> OAuthRefused:
    refused = OAuthRefused("invalid_client", why, challenge=challenge)
    refused.claimed = None if claimed is None else claimed.id
    return refused


def _credentials(authorization: str) -> tuple[str, str]:
    """https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1: both are encoded as in a form before base64."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() == "basic" and len(text) <= CREDENTIALS_CHARACTERS_MAX:
        try:
            id, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if colon:
            return unquote_plus(id), unquote_plus(secret)
    raise OAuthRefused("invalid_client", _NOT_PROVEN, challenge=True)


async def _by_assertion(form: Mapping[str, str], services: Services) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthRefused("invalid_client", f"`client_assertion_type` is {ASSERTION_TYPE}")
    client = None
    try:
        told = unverified(form.get("client_assertion", ""))
        client = await services.store.clients.get(told.client_id)
        return await _proven(client, told, form, services)
    except (Refused, JwksError) as refusal:
        raise _unproven(client, str(refusal)) from refusal


async def _proven(
    client: Client | None, told: Unverified, form: Mapping[str, str], services: Services
) -> Client:
    if form.get("client_id", told.client_id) != told.client_id:
        raise Refused("`client_id` is not that of the assertion")
    if client is None or (told.jku is not None and told.jku != client.jwks_uri):
        raise Refused(_UNKNOWN)
    await _require_proof(client, told, services)
    return client


async def _require_proof(client: Client, told: Unverified, services: Services) -> None:
    key = await services.client_keys.key(client, told.kid, told.algorithm)
    if key is None:
        raise Refused(_UNKNOWN)
    now = int(services.clock().timestamp())
    proof = verified(told, key, audience=token_url(services.settings.base_url), now=now)
    until = datetime.fromtimestamp(proof.expires, UTC)
    if not await services.store.clients.once(client.id, proof.jti, until):
        raise Refused("The assertion has been used: `jti` is another one each time")
