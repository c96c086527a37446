"""
What a browser may do with these pages, as their Content-Security-Policy: load our style and icon, and send
their forms to us.

Browsers hold a form to `form-action` also where its answer redirects, so that the page whose form may end
at an app names the app's origin.

https://www.w3.org/TR/CSP3/#directive-form-action
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from fhir_server.smart.redirects import origin_of

_ONLY_OURS: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)

_TARGET: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|[A-Za-z][A-Za-z0-9+.-]*:")


def policy(form_targets: Sequence[str] = ()) -> str:
    """For a page whose form may end at these origins (`https://app.example`) and schemes (`myapp:`)."""
    strays = [target for target in form_targets if _TARGET.fullmatch(target) is None]
    assert not strays, f"neither origins nor schemes: {strays}"
    return " ".join((_ONLY_OURS, *dict.fromkeys(form_targets)))


def target_of(redirect_uri: str) -> str:
    """The origin of a registered redirect URI, or its scheme where it is an app's own."""
    origin = origin_of(redirect_uri)
    # A policy has no way to write an address of IPv6; it names the scheme then, as with an app's own.
    if origin is None or _TARGET.fullmatch(origin) is None:
        return f"{urlsplit(redirect_uri).scheme}:"
    return origin
