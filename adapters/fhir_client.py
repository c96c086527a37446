"""
The one way from an adapter into a FHIR server: read, search, submit.

Any FHIR R4 server will do: over HTTP between processes, or in one process with
`httpx.ASGITransport`. The adapter comes with the identity of a registered client, so scopes,
policies, consent and audit hold for it as for everyone else.

What can go wrong::

    FhirClientError
      x Refused        the server judged what was sent and said no: sending it again will not help
          x Conflict   the same, because something changed meanwhile: look again, then send again
      x Unreachable    no answer, or one that says nothing about what was sent; it may have been done

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from adapters.fhir_json import Json, Resource, parse, render

FHIR_JSON: Final = "application/fhir+json"
CONFLICTS: Final = frozenset((409, 412))
JUDGED: Final = frozenset((400, 403, 404, 405, 406, 409, 410, 412, 413, 414, 415, 422, 501))
"""Statuses that are about what was sent. 401 is about us, 429 and 5xx about the server."""

TokenSource = Callable[[], Awaitable[str]]
"""Gives an access token that holds now."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue. `diagnostics` are the server's words and may tell too much."""

    severity: str
    code: str
    diagnostics: str = ""
    expression: tuple[str, ...] = ()


class FhirClientError(Exception):
    """See the module."""


class Refused(FhirClientError):
    """4xx, with the issues of the OperationOutcome."""

    def __init__(self, status: int, issues: Sequence[Issue]) -> None:
        super().__init__(f"The FHIR server answered {status}")
        self.status = status
        self.issues = tuple(issues)


class Conflict(Refused):
    """409 or 412: another was faster."""


class Unreachable(FhirClientError):
    """`reason` names the kind of failure. `retry_after_seconds` is what the server asks for, if anything."""

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"The FHIR server gave no answer to act on: {reason}")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class FhirClient:
    """
    One FHIR server, seen with one identity. `async with` closes its connections.

    `request_id` ties what is done to what it is done for, in the logs and the audit of the server.
    """

    def __init__(
        self,
        base_url: str,
        token: TokenSource,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        answer_seconds_max: float = 60.0,
        pages_max: int = 20,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._pages_max = pages_max
        self._http = httpx.AsyncClient(transport=transport, timeout=answer_seconds_max)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, resource_type: str, id: str, *, request_id: str) -> Resource | None:
        """The resource as it is now; None when it is not there, or not there for us."""
        try:
            return await self._asked("GET", f"{self.base_url}/{resource_type}/{id}", request_id)
        except Refused as refused:
            if refused.status in (404, 410):
                return None
            raise

    async def search(
        self, resource_type: str, parameters: Mapping[str, str], *, request_id: str
    ) -> list[Resource]:
        """All matches, of every page. Raises Refused (`too-costly`) when there are too many pages."""
        url = httpx.URL(f"{self.base_url}/{resource_type}", params=dict(parameters))
        found: list[Resource] = []
        for _ in range(self._pages_max):
            page = await self._asked("GET", str(url), request_id)
            found += [
                entry["resource"]
                for entry in page.get("entry", ())
                if entry.get("search", {}).get("mode", "match") == "match"
            ]
            following = next(
                (link["url"] for link in page.get("link", ()) if link["relation"] == "next"), None
            )
            if following is None:
                return found
            url = self._ours(following)
        raise Refused(403, [Issue("error", "too-costly", f"More than {self._pages_max} pages")])

    async def submit(self, bundle: Resource, *, request_id: str) -> Resource:
        """Send a batch or transaction; the Bundle that answers it."""
        return await self._asked("POST", self.base_url, request_id, bundle)

    def _ours(self, link: str) -> httpx.URL:
        """
        A link of the server, at the host we know it by: what it calls itself in public may not be
        reachable from here, and the token goes to nobody else.
        """
        known = httpx.URL(self.base_url)
        return known.join(link).copy_with(scheme=known.scheme, netloc=known.netloc)

    async def _asked(self, method: str, url: str, request_id: str, body: Resource | None = None) -> Json:
        headers = {
            "Authorization": f"Bearer {await self._token()}",
            "Accept": FHIR_JSON,
            "X-Request-Id": request_id,
        }
        if body is not None:
            headers |= {"Content-Type": FHIR_JSON, "Prefer": "return=minimal"}
        content = render(body) if body is not None else None
        try:
            response = await self._http.request(method, url, headers=headers, content=content)
        except httpx.TransportError as error:
            raise Unreachable(type(error).__name__) from error
        if response.is_success:
            return _resource(response)
        if response.status_code not in JUDGED:
            raise Unreachable(f"status {response.status_code}", _retry_after(response))
        refusal = Conflict if response.status_code in CONFLICTS else Refused
        raise refusal(response.status_code, _issues(response))


def _resource(response: httpx.Response) -> Json:
    try:
        resource = parse(response.content)
    except ValueError as error:
        raise Unreachable("an answer that is not JSON") from error
    if not isinstance(resource, dict):
        raise Unreachable("an answer that is no resource")
    return resource


def _issues(response: httpx.Response) -> list[Issue]:
    try:
        outcome = parse(response.content)
        return [
            Issue(
                issue["severity"],
                issue["code"],
                issue.get("diagnostics", ""),
                tuple(issue.get("expression", ())),
            )
            for issue in outcome["issue"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        # A proxy in between, or a server that does not answer as FHIR says: the status is all there is.
        return []


def _retry_after(response: httpx.Response) -> float | None:
    stated = response.headers.get("Retry-After", "")
    return float(stated) if stated.isascii() and stated.isdigit() else None
