"""
What is around the FHIR API: the start page, health, metrics and their documentation.

These routes are public, and the literal list of them stands in a test; /metrics answers
loopback callers alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from html import escape
from typing import Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.metrics import Metrics

Ready = Callable[[], Awaitable[dict[str, str]]]
"""What is not ready, by name, with the reason; empty when all is."""

PUBLIC: Final = ("/", "/health/live", "/health/ready", "/metrics")


def face(ready: Ready, metrics: Metrics, base_url: str) -> FastAPI:
    """The application for everything that is not below the FHIR base."""
    app = FastAPI(
        title="FHIR interoperability server",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would be made from the Host header, which anybody can choose.
        redirect_slashes=False,
    )

    @app.get("/", response_class=HTMLResponse)
    async def start_page() -> HTMLResponse:
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return HTMLResponse(_PAGE.format(base_url=escape(base_url)), headers=policy)

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


def _is_loopback(request: Request) -> bool:
    """Does a process on this machine ask for itself, and not as somebody's proxy?"""
    if request.client is None or not _FORWARDED.isdisjoint(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


_FORWARDED: Final = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"})

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>FHIR server</title>
<meta name="viewport" content="width=device-width">
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
</style>
<h1>FHIR interoperability server</h1>
<p>FHIR R4 (4.0.1) at <code>{base_url}</code>. What it does is in its
<a href="{base_url}/metadata">CapabilityStatement</a>.</p>
<p>Everything else needs an access token. An operator on this machine issues one:</p>
<pre>fhir-server token --data-dir DIR --scope 'system/*.rs'</pre>
<p>Health: <a href="/health/ready">/health/ready</a></p>
</html>
"""
