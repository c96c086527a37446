"""
A token: from a form to what it is worth, or to nothing; either way a record.

Who the client is comes before what it wants.

https://www.rfc-editor.org/rfc/rfc6749#section-3.2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.pipeline.authorizing.proving import proven
from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.search.values.site import Site
from fhir_server.smart.caller import Contact
from fhir_server.smart.clients import Client
from fhir_server.smart.flows.client_credentials import granted_to
from fhir_server.smart.refusals import OAuthRefused


@dataclass(frozen=True, slots=True)
class Issued:
    """https://www.rfc-editor.org/rfc/rfc6749#section-5.1"""

    token: str
    scope: str
    expires_in: int

    def told(self) -> dict[str, Any]:
        """As the answer has it."""
        return {
            "access_token": self.token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": self.scope,
        }


async def token_for(
    form: Mapping[str, str], authorization: str | None, services: Services, contact: Contact
) -> Issued:
    """What the form asks for, recorded. Raises OAuthRefused, which is not recorded yet, and Unavailable."""
    if form.get("grant_type") != "client_credentials":
        raise OAuthRefused("unsupported_grant_type", "`grant_type` is client_credentials")
    client = await proven(form, authorization, services)
    try:
        issued = _issued(client, form, services)
    except OAuthRefused as refused:
        refused.client = client.id
        raise
    await services.store.append(record(200, contact, services, Who(client.id)))
    return issued


def _issued(client: Client, form: Mapping[str, str], services: Services) -> Issued:
    site = Site(services.settings.base_url, services.zone)
    grant = granted_to(client, form.get("scope", ""), definitions().resource_types, site)
    now = int(services.clock().timestamp())
    token = services.tokens.issue(grant, now=now, token_id=services.new_id())
    return Issued(token, grant.scope, grant.lifetime_seconds)
