"""
What is around the FHIR API: the start page, documentation, brands, health and metrics, and a demo app
where one is asked for.

These routes are public and hold no data, and the literal list of them stands in a test; /metrics
answers loopback callers alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.brands import BrandsPage
from fhir_server.api.metrics import Metrics
from fhir_server.api.openapi import names, openapi
from fhir_server.api.pages import Page, docs_page, file, page, start_page
from fhir_server.api.pages.demo import demo_files
from fhir_server.interactions.registered import Registered
from fhir_server.r4.resource import to_text
from fhir_server.settings import Settings
from fhir_server.smart.brands.bundle import BRANDS_PATH, Brands

Ready = Callable[[], Awaitable[dict[str, str]]]
"""What is not ready, by name, with the reason; empty when all is."""

PUBLIC: Final = (
    "/",
    "/brands",
    "/demo/",
    "/demo/{name}",
    "/docs",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi/{name}.json",
    "/pages/{name}",
)


def is_around(path: str) -> bool:
    """
    Is this an address of the face, even where the FHIR base is the root of the origin?

    No resource type begins in lower case; `/` itself is the base then.
    """
    return path != "/" and (path in PUBLIC or path.startswith(("/demo/", "/openapi/", "/pages/")))


def face(
    ready: Ready, metrics: Metrics, settings: Settings, registered: Registered, brands: Brands | None = None
) -> FastAPI:
    """The application for everything that is not below the FHIR base."""
    app = FastAPI(
        title="FHIR interoperability server",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would be made from the Host header, which anybody can choose.
        redirect_slashes=False,
    )
    _add_pages(app, settings, registered)
    _add_brands(app, brands)
    if settings.has_demo_app:
        _add_demo(app, settings.base_url)

    @app.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @app.get("/health/ready")
    async def is_ready() -> JSONResponse:
        missing = await ready()
        if missing:
            return JSONResponse({"status": "not ready", "missing": missing}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics")
    async def numbers(request: Request) -> Response:
        if not _is_loopback(request):
            return PlainTextResponse("Only from this machine", 403)
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    return app


def _add_pages(app: FastAPI, settings: Settings, registered: Registered) -> None:
    base_path = urlsplit(settings.base_url).path.rstrip("/")
    start, docs = start_page(settings, base_path), docs_page()
    known = frozenset(names())

    @lru_cache(maxsize=_DOCUMENTS_KEPT)
    def document(name: str) -> Page:
        return page(to_text(openapi(name, registered, base_path)), "application/json")

    @app.api_route("/", methods=_READ)
    async def first(request: Request) -> Response:
        return start.answer(request)

    @app.api_route("/docs", methods=_READ)
    async def documentation(request: Request) -> Response:
        return docs.answer(request)

    @app.api_route("/pages/{name}", methods=_READ)
    async def file_of_a_page(name: str, request: Request) -> Response:
        found = file(name)
        return _nothing() if found is None else found.answer(request)

    @app.api_route("/openapi/{name}.json", methods=_READ)
    async def openapi_document(name: str, request: Request) -> Response:
        return document(name).answer(request) if name in known else _nothing()


def _add_brands(app: FastAPI, brands: Brands | None) -> None:
    served = None if brands is None else BrandsPage(brands)

    @app.api_route(BRANDS_PATH, methods=[*_READ, "OPTIONS"])
    async def brand_bundle(request: Request) -> Response:
        return _nothing() if served is None else served.answer(request)


def _add_demo(app: FastAPI, base_url: str) -> None:
    files = demo_files(base_url)

    @app.api_route("/demo/", methods=_READ)
    async def demo(request: Request) -> Response:
        return files[""].answer(request)

    @app.api_route("/demo/{name}", methods=_READ)
    async def file_of_the_demo(name: str, request: Request) -> Response:
        return files[name].answer(request) if name in files else _nothing()


def _nothing() -> Response:
    return JSONResponse({"detail": "Not Found"}, 404)


def _is_loopback(request: Request) -> bool:
    """Does a process on this machine ask for itself, and not as somebody's proxy?"""
    if request.client is None or not _FORWARDED.isdisjoint(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


_READ: Final = ["GET", "HEAD"]
_DOCUMENTS_KEPT: Final = 16
"""Of up to a hundred kilobytes each, made in some milliseconds."""

_FORWARDED: Final = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"})
