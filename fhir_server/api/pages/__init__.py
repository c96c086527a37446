"""
The pages that a person sees, and the files that they are made of: all of them from here.

Swagger UI's own files come in a package. Nothing is fetched from elsewhere, and the policy of each
page says so; scripts and styles stand in files, so that no page needs to allow inline ones.

https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib import resources
from string import Template
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.encoding import packed, prefers_gzip
from fhir_server.api.openapi import SYSTEM, names
from fhir_server.interactions.capabilities import SOFTWARE, SOFTWARE_VERSION
from fhir_server.r4.definitions import FHIR_VERSION
from fhir_server.settings import Settings

_SWAGGER_UI: Final = "fastapi_swagger.resources"

_FILES: Final[Mapping[str, tuple[str, str, str]]] = {
    "docs.css": (__name__, "docs.css", "text/css"),
    "docs.js": (__name__, "docs.js", "text/javascript"),
    "icon.png": (_SWAGGER_UI, "favicon-32x32.png", "image/png"),
    "people.css": (f"{__name__}.people", "people.css", "text/css"),
    "start.css": (__name__, "start.css", "text/css"),
    "swagger-ui.css": (_SWAGGER_UI, "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (_SWAGGER_UI, "swagger-ui-bundle.js", "text/javascript"),
}
"""The files that are served, by name: where each one is, and its media type."""

NOTHING_ELSE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

START_POLICY: Final = f"{NOTHING_ELSE}; img-src 'self'; style-src 'self'"

# Swagger UI's style sheet has its icons in `data:` addresses.
DOCS_POLICY: Final = (
    f"{NOTHING_ELSE}; connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'"
)


@dataclass(frozen=True, slots=True)
class Page:
    """What is served at one address; `gzip` is the same, packed."""

    body: bytes
    media_type: str
    policy: str
    gzip: bytes
    etag: str

    def answer(self, request: Request) -> Response:
        """The page as the client wants it, or that it has it already."""
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": self.policy,
            "ETag": self.etag,
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        if not prefers_gzip(request.headers.get("accept-encoding", "")[:256]):
            return Response(self.body, headers=headers, media_type=self.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(self.gzip, headers=headers, media_type=self.media_type)


def page(body: bytes, media_type: str, policy: str = NOTHING_ELSE) -> Page:
    """`body`, to be served any number of times."""
    return Page(body, media_type, policy, packed(body), f'W/"{sha256(body).hexdigest()[:32]}"')


@cache
def file(name: str) -> Page | None:
    """The file of this name; None when there is none."""
    if name not in _FILES:
        return None
    package, found, media_type = _FILES[name]
    return page(resources.files(package).joinpath(found).read_bytes(), media_type)


def start_page(settings: Settings, base_path: str) -> Page:
    """What this is, and where to go from here."""
    told = {
        "software": SOFTWARE,
        "version": SOFTWARE_VERSION,
        "fhir_version": FHIR_VERSION,
        "base_url": settings.base_url,
        "base_path": base_path,
        "apps": "$apps",
    }
    text = filled(__name__, "start.html", told).decode()
    return page(Template(text).substitute(apps=_about_apps(settings)).encode(), "text/html", START_POLICY)


def _about_apps(settings: Settings) -> str:
    """How a launch is tried; nothing where a provider issues the tokens."""
    if settings.oidc_issuer is not None:
        return ""
    name = "start-demo.html" if settings.has_demo_app else "start-apps.html"
    return filled(__name__, name, {}).decode()


def docs_page() -> Page:
    """Swagger UI, and the choice of a document for it."""
    options = "\n".join(f'<option value="{name}">{_TITLES.get(name, name)}</option>' for name in names())
    text = filled(__name__, "docs.html", {"software": SOFTWARE, "options": "$options"}).decode()
    return page(Template(text).substitute(options=options).encode(), "text/html", DOCS_POLICY)


def filled(package: str, template: str, told: Mapping[str, str]) -> bytes:
    """The template of this name in a package, with what it is told, as text."""
    text = resources.files(package).joinpath(template).read_text("utf-8")
    return Template(text).substitute({name: escape(value) for name, value in told.items()}).encode()


_TITLES: Final = {SYSTEM: "the server as a whole"}
