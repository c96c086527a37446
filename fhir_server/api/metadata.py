"""
GET metadata: anybody may ask, as often as they like, so each of its forms is made once.

Which search parameters there are is looked at each time, together with the reads of that turn; while
the database is away, they are those that were known last.

`_elements` makes more forms than can be kept: those asked for last are. A form is made beside the
event loop, one at a time, so that nobody without a token can keep others waiting with new ones. The
ETag is the same in each process, though each began at its own time; so a client that has the
statement is told so.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256
from typing import Final

from fhir_server.api.presentation import Wanted, presented
from fhir_server.api.request import Request
from fhir_server.api.response import Response
from fhir_server.interactions.capabilities import capabilities, capabilities_from
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import Unavailable
from fhir_server.r4.interaction import Capabilities
from fhir_server.r4.resource import Resource, to_text
from fhir_server.search.declared.catalogue import Catalogue, in_force_from

FORMS_MAX: Final = 32
"""Of up to a megabyte each, most of them far smaller."""

_Form = tuple[Capabilities, Wanted, bool, Catalogue]


class Metadata:
    """What this server does, as it is asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._forms: OrderedDict[_Form, Response] = OrderedDict()
        self._making = asyncio.Lock()

    async def answered(self, request: Request) -> Response:
        """Raises Invalid for what cannot be asked for, NotAcceptable for a format that is none of ours."""
        asked = capabilities_from(request.parameters, lenient=request.handling == "lenient")
        with suppress(Unavailable):
            await self._services.consents.refreshed()
        form = (
            asked,
            request.wanted,
            request.method == "HEAD",
            self._services.parameters.catalogue,
        )
        if form not in self._forms:
            async with self._making:
                if form not in self._forms:
                    self._forms[form] = await self._made(asked, request.wanted, request.method)
        told = self._forms[form]
        self._forms.move_to_end(form)
        if len(self._forms) > FORMS_MAX:
            self._forms.popitem(last=False)
        if request.if_none_match in (_tag(told), "*") and request.method in ("GET", "HEAD"):
            return Response(304, told.headers, b"")
        return told

    async def _made(self, asked: Capabilities, wanted: Wanted, method: str) -> Response:
        services = self._services

        def response() -> Response:
            in_force_from(services.parameters)
            base_url = services.settings.base_url
            told = capabilities(asked, services.registered, base_url, services.started)
            return Response(200, [(b"etag", _etag(told, wanted))], to_text(told))

        return await presented(await asyncio.to_thread(response), wanted, method)


def _etag(told: Resource, wanted: Wanted) -> bytes:
    """Weak: what differs in the time of a process's start alone is the same to a client."""
    timeless = {name: value for name, value in told.items() if name != "date"}
    form = f"{wanted.format.value} {wanted.pretty}".encode()
    return b'W/"%s"' % sha256(form + to_text(timeless)).hexdigest()[:32].encode()


def _tag(response: Response) -> str:
    """The ETag as Request reads it: without what makes it weak."""
    return response.headers[0][1].decode()[3:-1]
