"""
How a browser is known again: one cookie for a session, one for a form before there is a session.

Each page with a form has a token that is made of the cookie; a form that comes without it was made elsewhere.
No script can read the cookies, and they come along from other sites with plain links alone.

https://www.rfc-editor.org/rfc/rfc6265, https://owasp.org/www-community/attacks/csrf
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from fhir_server.api.request import Request
from fhir_server.api.response import Headers

_COOKIE: Final = re.compile(r"\s*([A-Za-z_-]+)=([A-Za-z0-9_-]{1,100})\s*")


class Cookies:
    """Those of one deployment: over TLS they are of this very host, and go nowhere without TLS."""

    def __init__(self, base_url: str) -> None:
        self._secure = base_url.startswith("https://")
        prefix = "__Host-" if self._secure else ""
        self.session = f"{prefix}session"
        self.form = f"{prefix}form"

    def of(self, request: Request) -> Mapping[str, str]:
        """What the browser sent, by name."""
        parts = (request.header("cookie") or "").split(";")
        return {match[1]: match[2] for part in parts if (match := _COOKIE.fullmatch(part))}

    def set(self, name: str, value: str) -> Headers:
        """It lasts until the browser is closed, or the server says otherwise."""
        return [(b"set-cookie", f"{name}={value}; {self._attributes}".encode())]

    def cleared(self, name: str) -> Headers:
        return [(b"set-cookie", f"{name}=; Max-Age=0; {self._attributes}".encode())]

    @property
    def _attributes(self) -> str:
        return f"Path=/; HttpOnly; SameSite=Lax{'; Secure' if self._secure else ''}"


def form_token(cookie: str) -> str:
    """What a page's forms carry for a browser with this cookie."""
    return sha256(f"form\0{cookie}".encode()).hexdigest()


def is_own_form(form: Mapping[str, str], cookie: str | None) -> bool:
    """Was this form on a page that this browser got from us?"""
    # As bytes: of texts, those in ASCII alone can be compared.
    return cookie is not None and compare_digest(form.get("csrf", "").encode(), form_token(cookie).encode())
