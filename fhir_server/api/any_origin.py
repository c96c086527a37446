"""
What scripts of any origin may read: documents about this server that hold no data and take no token.

https://hl7.org/fhir/smart-app-launch/app-launch.html#considerations-for-cross-origin-resource-sharing-cors-support
"""

from __future__ import annotations

from typing import Final

from fhir_server.api.response import Headers

READ: Final = ("GET", "HEAD", "OPTIONS")

ANY_ORIGIN: Final[Headers] = [(b"access-control-allow-origin", b"*")]

PREFLIGHT: Final[Headers] = [
    *ANY_ORIGIN,
    (b"allow", ", ".join(READ).encode()),
    (b"access-control-allow-methods", ", ".join(READ).encode()),
    # The asterisk does not stand for Authorization, which some clients send wherever they ask.
    (b"access-control-allow-headers", b"*, Authorization"),
    (b"access-control-max-age", b"3600"),
]
