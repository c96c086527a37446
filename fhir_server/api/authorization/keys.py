"""
The public keys of this deployment over HTTP: https://www.rfc-editor.org/rfc/rfc7517#section-5
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fhir_server.api.any_origin import ANY_ORIGIN
from fhir_server.api.response import Response
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import FhirError
from fhir_server.r4.resource import to_text
from fhir_server.smart.keys import public_jwks

MAX_AGE_SECONDS: Final = 60
"""So long they may be kept. A new key signs at once, wherever it was made, so it is short."""


async def published_keys(services: Services) -> Response:
    """The newest, also where another process made them; without the database those that are known here."""
    with suppress(FhirError):
        await services.keyring.renewed()
    return Response(
        200,
        ANY_ORIGIN,
        to_text(public_jwks(services.keyring.keys)),
        b"application/json",
        cache_control=b"public, max-age=%d" % MAX_AGE_SECONDS,
    )
