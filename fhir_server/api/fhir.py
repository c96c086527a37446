"""
The FHIR API as one plain ASGI application: from a request to an interaction and back.

Plain, because each request passes here: no framework stands between the socket and the
pipeline. What is refused before the pipeline is reached is recorded here, so that each request
outside the public list leaves a record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import replace
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import structlog

from audit.record import Record
from fhir_server.api.any_origin import ANY_ORIGIN, PREFLIGHT, READ
from fhir_server.api.binary import downloaded, is_download
from fhir_server.api.contact import contact_of
from fhir_server.api.flood import Flood, Source
from fhir_server.api.metadata import Metadata
from fhir_server.api.metrics import METHODS, Metrics
from fhir_server.api.origins import ASKED_BY
from fhir_server.api.presentation import PLAIN, Wanted, presented
from fhir_server.api.request import Receive, Request
from fhir_server.api.response import Response, Send, refuse, render
from fhir_server.api.routes import DISCOVERY, PUBLIC, SMART_CONFIGURATION, allowed_at, find
from fhir_server.interactions.answers import Answer
from fhir_server.pipeline.authorizing.bearing import token_of, verified
from fhir_server.pipeline.authorizing.serving import served
from fhir_server.pipeline.perform import perform, record_refusal
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import FhirError, MethodNotAllowed, NotFound, TooMany, Unauthenticated
from fhir_server.r4.interaction import (
    ConditionalPatch,
    ConditionalUpdate,
    Create,
    Delete,
    Interaction,
    Patch,
    Update,
)
from fhir_server.r4.resource import Key, Resource, to_text
from fhir_server.r4.shaping import WHOLE, Shape
from fhir_server.smart.caller import Caller, Contact
from fhir_server.smart.discovery import brands, openid_configuration, smart_configuration
from fhir_server.smart.rates import Rates

log = structlog.get_logger()


class Fhir:
    """An ASGI application for the addresses below the base path."""

    def __init__(self, services: Services, metrics: Metrics, base_path: str, flood: Flood) -> None:
        self._services = services
        self._metrics = metrics
        self._base_path = base_path
        self._flood = flood
        self._rates = Rates(services.settings.caller_requests_per_second_max, 1.0, time.monotonic)
        self._metadata = Metadata(services)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        contact = contact_of(scope)
        method: str = scope["method"]
        started = time.perf_counter()
        response = await self._answer(scope, receive, contact)
        known = method if method in METHODS else "other"
        self._metrics.answered(known, response.status, time.perf_counter() - started)
        await response.send(send, request_id=contact.request_id, without_body=method == "HEAD")

    def is_public(self, scope: MutableMapping[str, Any]) -> bool:
        """Is it an address that needs no token?"""
        return self._path(scope) in PUBLIC

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, contact: Contact) -> Response:
        try:
            return await self._respond(scope, receive, contact)
        except Exception as bug:  # The outermost place: even a refusal that breaks has an answer.
            log.error("bug", request_id=contact.request_id, exc_info=bug)
            return refuse(_Bug(contact))

    async def _respond(self, scope: MutableMapping[str, Any], receive: Receive, contact: Contact) -> Response:
        caller: Caller | None = None
        interaction: Interaction | None = None
        wanted = PLAIN
        settings = self._services.settings
        # Anybody can send any word for a method; records and counts are by those we know.
        method = scope["method"] if scope["method"] in METHODS else "other"
        try:
            path = self._path(scope)
            request = Request(scope, receive, settings.body_bytes_max, settings.request_seconds_max)
            wanted = _wanted_if_any(request)
            if path in PUBLIC or request.method == "OPTIONS":
                return await self._public(path, request)
            caller = await self._authenticate(request)
            scope.setdefault("state", {})[ASKED_BY] = caller.client
            self._require_rate(caller)
            route, steps = find(request.method, path)
            by_content = is_download(request, steps)
            wanted = wanted if by_content else request.wanted
            interaction = await route.build(request, steps)
            # Once more: `_format` may have come in a form, which is read by now.
            wanted = wanted if by_content else request.wanted
            shape = _shape_of_written(interaction, request)
            answer: Answer = await perform(interaction, caller, contact, self._services)
            if by_content:
                if (content := await downloaded(answer, request)) is not None:
                    return content
                # The content could be of a generic type, too: what is not the content is called as FHIR does.
                wanted = replace(wanted, content_type=None)
            response = render(answer, settings.base_url, request.prefer.get("return"), shape)
            return await presented(response, wanted, request.method)
        except FhirError as refusal:
            refused = await self._refused(refusal, method, caller, contact)
            return await presented(refused, wanted, method)
        except Exception as bug:
            log.error("bug", request_id=contact.request_id, exc_info=bug)
            broken = _Bug(contact)
            # What became an interaction is recorded as failed already.
            broken.recorded = interaction is not None
            return await self._refused(broken, method, caller, contact)

    def _path(self, scope: MutableMapping[str, Any]) -> str:
        """The path below the base, as it was sent: an encoded slash is part of a step."""
        path: str = scope["raw_path"].decode("latin-1")
        below = path.removeprefix(self._base_path)
        if len(below) == len(path) and self._base_path:
            # The base itself was written with escapes.
            below = quote(scope["path"][len(self._base_path) :], safe="/")
        return below.removeprefix("/").removesuffix("/")

    async def _public(self, path: str, request: Request) -> Response:
        """
        What anybody may know, and nobody's access to which is recorded: what this server does.

        OPTIONS is answered without a token as the CapabilityStatement is: it says which methods
        an address has, whatever stands there and whether anything does.
        """
        allowed = READ if path in PUBLIC else allowed_at(path)
        if request.method not in allowed:
            raise MethodNotAllowed(f"`{request.method[:16]}` is not for this address", allowed=allowed)
        headers = [(b"allow", ", ".join(allowed).encode())] if request.method == "OPTIONS" else []
        if path in PUBLIC:
            headers = PREFLIGHT if headers else ANY_ORIGIN
        if path and request.method == "OPTIONS":
            return Response(204, headers, b"")
        if path in DISCOVERY:
            return self._discovered(path)
        answered = await self._metadata.answered(request)
        return replace(answered, headers=[*answered.headers, *headers])

    def _discovered(self, path: str) -> Response:
        try:
            told = to_text(self._document(path))
        except FhirError as refusal:
            # Answered here, not raised: nobody's look at what is public is recorded.
            refused = refuse(refusal)
            return replace(refused, headers=[*refused.headers, *ANY_ORIGIN])
        return Response(200, ANY_ORIGIN, told, b"application/json")

    def _document(self, path: str) -> Resource:
        """Raises NotFound, and Unavailable where a provider issues the tokens that was never read."""
        external, told = self._services.bearers.external, served(self._services.settings)
        if external is not None and path == SMART_CONFIGURATION:
            return {**external.smart_configuration, **brands(told)}
        document = smart_configuration(told) if path == SMART_CONFIGURATION else openid_configuration(told)
        if external is not None or document is None:
            raise NotFound("This server tells nobody who logs in")
        return document

    async def _authenticate(self, request: Request) -> Caller:
        caller = await verified(token_of(request.header("authorization")), self._services)
        self._services.consents.require_holds(caller)
        return caller

    def _require_rate(self, caller: Caller) -> None:
        """Raises TooMany: of one client, each user has a rate of their own."""
        if seconds := self._rates.seconds_to_wait((caller.client, caller.subject)):
            raise TooMany("Too many requests of this caller", retry_after_seconds=seconds)

    async def _refused(
        self, refusal: FhirError, route: str, caller: Caller | None, contact: Contact
    ) -> Response:
        if caller is None and self._flood.is_too_many(contact.address, route):
            return refuse(TooMany("Too many refused calls from this address"))
        if caller is not None and isinstance(refusal, TooMany) and not refusal.recorded:
            who = (caller.client, caller.subject, caller.user)
            self._flood.count(Source(contact.address, route, "request", *who))
            return refuse(refusal)
        record = self._record(refusal, route, caller, contact)
        try:
            await record_refusal(refusal, record, self._services)
        except FhirError as unavailable:
            return refuse(unavailable)
        return refuse(refusal)

    def _record(self, refusal: FhirError, route: str, caller: Caller | None, contact: Contact) -> Record:
        """What is known of a request that never became an interaction."""
        return Record(
            time=self._services.clock(),
            interaction="login" if isinstance(refusal, Unauthenticated) else "request",
            outcome="refused" if refusal.status < 500 else "failed",
            status=refusal.status,
            request_id=contact.request_id,
            address=contact.address,
            client=caller.client if caller else None,
            subject=caller.subject if caller else None,
            user=caller.user if caller else None,
            purpose=caller.purpose if caller else None,
            token_id=caller.token_id if caller else None,
            reason=f"{route} {type(refusal).__name__}",
        )

    async def count_refusals(self) -> None:
        """Once a second, for ever: write down what was only counted."""
        while True:
            await asyncio.sleep(1)
            await self.write_counted_refusals()

    async def write_counted_refusals(self) -> None:
        for source, number in self._flood.turn():
            record = Record(
                time=self._services.clock(),
                interaction=source.interaction,
                outcome="refused",
                status=TooMany.status,
                request_id=token_hex(16),
                address=source.address,
                client=source.client,
                subject=source.subject,
                user=source.user,
                reason=f"{source.route} TooMany",
                count=number,
            )
            try:
                await self._services.store.append(record)
            except FhirError as unavailable:
                log.warning("refusals_not_recorded", count=number, reason=type(unavailable).__name__)


class _Bug(FhirError):
    """Not a refusal: we broke. The answer says nothing more."""

    status, code = 500, "exception"

    def __init__(self, contact: Contact) -> None:
        super().__init__(f"Something broke; the log knows it as {contact.request_id}")


def _wanted_if_any(request: Request) -> Wanted:
    """How a refusal should look, whatever it is: one of the format asked for leaves in JSON."""
    try:
        return request.wanted
    except FhirError:
        return PLAIN


def _shape_of_written(interaction: Interaction, request: Request) -> Shape:
    """
    What a write is asked to show of what it wrote.

    Raises Invalid for a parameter that a write does not know.
    """
    match interaction:
        case Create(type=type) | Update(key=Key(type=type)) | Patch(key=Key(type=type)):
            return request.shape_of(type)
        case Delete(key=key):
            return request.shape_of(key.type)
        case ConditionalUpdate(criteria=criteria) | ConditionalPatch(criteria=criteria):
            return request.shape_of(criteria.type, with_criteria=True)
    return WHOLE
