"""
Apps that register themselves, where `dynamic_registration` lets them: https://www.rfc-editor.org/rfc/rfc7591
"""

from __future__ import annotations

import secrets
from typing import Final

from fhir_server.pipeline.authorizing.recording import Who, record
from fhir_server.pipeline.services import Services
from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import TooMany
from fhir_server.r4.resource import from_text
from fhir_server.smart.caller import Contact
from fhir_server.smart.registration_request import Registration, registration

SECRET_BYTES: Final = 32


async def registered_by_itself(body: bytes, services: Services, contact: Contact) -> Registration:
    """
    The client that the body makes, registered and recorded.

    Raises OAuthRefused and Invalid, which are not recorded yet; TooMany when there are as many as may be; and
    Unavailable.
    """
    told = from_text(body)
    made = registration(
        told,
        services.new_id(),
        secrets.token_urlsafe(SECRET_BYTES),
        services.clock(),
        definitions().resource_types,
    )
    if await services.store.clients.count() >= services.settings.registered_clients_max:
        raise TooMany("As many clients are registered as may be")
    known = await services.store.clients.register(made.client)
    assert known, "nobody has an id that was made this moment"
    who = Who(made.client.id)
    await services.store.append(record("registration", 201, contact, services, who))
    return made
