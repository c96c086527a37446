"""
Where an app may be sent back to: what can be registered, and nothing but what was.

A redirect URI is compared as the text that it is. What browsers read otherwise than it looks (user info, a
backslash, a fragment), and what is no address of an app (`javascript:`), is not registered.

https://www.rfc-editor.org/rfc/rfc9700#section-2.1, https://www.rfc-editor.org/rfc/rfc8252#section-7
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

URI_CHARACTERS_MAX: Final = 2_000
URIS_MAX: Final = 20

_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()+,;=%-]+")
"""Those of RFC 3986, without `#` and `*`."""
_PRIVATE_USE: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
"""A scheme of an app is its domain, turned around: `org.example.app`."""
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))


class InvalidRedirect(ValueError):
    """An address that no app can be sent to; the message says why."""


def require_redirect(uri: str) -> None:
    """Raises InvalidRedirect unless `uri` may be registered as a redirect or launch URI."""
    if len(uri) > URI_CHARACTERS_MAX or not _CHARACTERS.fullmatch(uri):
        raise InvalidRedirect(
            f"A redirect URI has up to {URI_CHARACTERS_MAX} characters of a URI, and no fragment or wildcard"
        )
    try:
        parts = urlsplit(uri)
        host = _host_of(parts)
    except ValueError as error:
        raise InvalidRedirect("A redirect URI is an absolute URL") from error
    if parts.scheme in ("http", "https") and uri.startswith(f"{parts.scheme}://"):
        _require_place_on_the_web(parts, host)
    elif not _PRIVATE_USE.fullmatch(parts.scheme) or not uri.startswith(f"{parts.scheme}:/"):
        raise InvalidRedirect(
            "A redirect URI begins with https://, or with an app's own scheme: org.example.app:/"
        )


def origin_of(uri: str) -> str | None:
    """The origin of an address on the web, as browsers tell it; None of an app's own scheme."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return None
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{_host_of(parts)}{port}"


def _require_place_on_the_web(parts: SplitResult, host: str) -> None:
    if "@" in parts.netloc:
        raise InvalidRedirect("A redirect URI names nobody before its host")
    if not _HOST.fullmatch(host):
        raise InvalidRedirect("The host of a redirect URI is a name or an address in lower case")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise InvalidRedirect("Without TLS, a redirect URI is on the person's own machine: http://localhost")


def _host_of(parts: SplitResult) -> str:
    """As it is written, without the port. Raises ValueError for a port that is none."""
    port = parts.port
    return parts.netloc if port is None else parts.netloc.rpartition(":")[0]
