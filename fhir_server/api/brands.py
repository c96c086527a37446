"""
The Brand Bundle of this server, for apps on any origin.

https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html#rules-and-best-practices
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.encoding import packed, prefers_gzip
from fhir_server.smart.brands.bundle import Brands

KEPT_SECONDS: Final = 300
"""For how long an app need not ask whether there is another one."""

_ANYBODY: Final = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "ETag"}
_PREFLIGHT: Final = {
    **_ANYBODY,
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Accept, If-None-Match",
    "Access-Control-Max-Age": "86400",
    "Allow": "GET, HEAD, OPTIONS",
}


class BrandsPage:
    """What is answered at BRANDS_PATH."""

    def __init__(self, brands: Brands) -> None:
        self._text = brands.text
        self._gzip = packed(brands.text)
        self._tag = sha256(brands.text).hexdigest()[:32]

    def answer(self, request: Request) -> Response:
        """The Bundle, or that the app has it already; or which requests are allowed."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        headers = {
            **_ANYBODY,
            "Cache-Control": f"public, max-age={KEPT_SECONDS}",
            "ETag": f'W/"{self._tag}"',
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if self._is_known(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        if not prefers_gzip(request.headers.get("accept-encoding", "")[:256]):
            return Response(self._text, headers=headers, media_type="application/fhir+json")
        headers["Content-Encoding"] = "gzip"
        return Response(self._gzip, headers=headers, media_type="application/fhir+json")

    def _is_known(self, tags: str) -> bool:
        """By weak comparison: https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match."""
        known = [one.strip().removeprefix("W/") for one in tags.split(",")]
        return "*" in known or f'"{self._tag}"' in known
