"""The circumstances of a request, as they are recorded and logged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from secrets import token_hex
from typing import Any, Final

from fhir_server.smart.caller import Contact

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._\-]{1,64}")


def contact_of(scope: Mapping[str, Any]) -> Contact:
    """Where it comes from; the client's own id for the request where it is a plain word, else one of ours."""
    address = (scope.get("client") or ("unknown",))[0]
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return Contact(str(value.decode()), address)
    return Contact(token_hex(16), address)
