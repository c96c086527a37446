"""
Whose scripts may read what is answered: those of apps, from where the apps were registered, and no other.

A preflight says nothing of who asks, so it is answered for the origins of all apps; the answer itself may be
read by the origins of the app whose token it was asked with. Those of the settings may read all of it. There
are no credentials but the token, which the script has itself.

https://hl7.org/fhir/smart-app-launch/app-launch.html#considerations-for-cross-origin-resource-sharing-cors-support
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, Protocol

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from fhir_server.r4.errors import FhirError
from fhir_server.smart.clients import Client

LOOKED_SECONDS: Final = 1.0
"""
An origin that is not known, of any app or of the one that asks, has a process look who is registered, no more
often than this.
"""
KEPT_SECONDS: Final = 30.0
"""So long those of a client that was removed are still known."""

ASKED_BY: Final = "asked_by"
"""Where, among what is known of a request, the client stands whose token it came with."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Origins:
    """The origins of registered apps, as one process knows them."""

    def __init__(
        self,
        always: Iterable[str],
        clients: Callable[[], Awaitable[list[Client]]],
        seconds: Callable[[], float],
    ) -> None:
        self._always = frozenset(always)
        self._clients = clients
        self._seconds = seconds
        self._of_client: Mapping[str, frozenset[str]] = {}
        self._of_any: frozenset[str] = frozenset()
        self._looked = -KEPT_SECONDS
        self._looking = asyncio.Lock()

    async def look_for(self, origin: str, client: str | None = None) -> None:
        """Know by now whether it is one of them: of this client, or of any."""
        if origin in self._always:
            return
        kept = KEPT_SECONDS if self.may_read(origin, client) else LOOKED_SECONDS
        async with self._looking:
            if self._seconds() < self._looked + kept:
                return
            self._looked = self._seconds()
            with suppress(FhirError):
                found = await self._clients()
                self._of_client = {one.id: one.origins for one in found if one.origins}
                self._of_any = frozenset().union(*self._of_client.values())

    def may_read(self, origin: str, client: str | None) -> bool:
        """May scripts from there read the answer to this client? None: of whom nothing is known."""
        known = self._of_any if client is None else self._of_client.get(client, frozenset())
        return origin in self._always or origin in known


class Guarded(Protocol):
    """An ASGI application that says itself who may read what is public of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def is_public(self, scope: Scope) -> bool:
        """Is it an address that takes no token, for scripts of any origin?"""


class Cors(CORSMiddleware):
    """Preflights, and the headers of answers to other origins. What has no Origin or is public passes."""

    def __init__(self, app: Guarded, origins: Origins) -> None:
        super().__init__(
            app,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "Content-Encoding", "Accept", "If-Match",
                           "If-None-Match", "If-None-Exist", "If-Modified-Since", "If-Range", "Prefer",
                           "Range", "X-Request-Id", "X-Security-Context"],
            expose_headers=["Content-Range", "ETag", "Last-Modified", "Location", "X-Request-Id",
                            "X-Security-Context"],
        )  # fmt: skip
        self._origins = origins
        self._guarded = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None or self._guarded.is_public(scope):
            await self._guarded(scope, receive, send)
            return
        await self._origins.look_for(origin.decode("latin-1"))
        await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Of a preflight."""
        return self._origins.may_read(origin, None)

    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        """The answer, with what its own client's origins are told."""
        origin = request_headers["origin"]
        sending = functools.partial(self._send_to, scope, origin, send)
        await self.app(scope, receive, sending)

    async def _send_to(
        self, scope: Scope, origin: str, send: Send, message: MutableMapping[str, Any]
    ) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"vary", b"Origin")]
            client = scope.get("state", {}).get(ASKED_BY)
            # The app may have been registered after another one of the same origin was seen.
            await self._origins.look_for(origin, client)
            if self._origins.may_read(origin, client):
                told = {**self.simple_headers, "access-control-allow-origin": origin}
                headers += [(name.lower().encode(), value.encode()) for name, value in told.items()]
            message = {**message, "headers": headers}
        await send(message)
