"""
Bundles that the server answers with, as JSON text around the bodies as they are stored.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote, urlencode

from fhir_server.interactions.answers import (
    Answer,
    Bundled,
    Document,
    Found,
    NotModified,
    Removed,
    Written,
)
from fhir_server.r4.errors import FhirError, Issue
from fhir_server.r4.interaction import Parameters
from fhir_server.r4.resource import Key, Resource, to_text
from fhir_server.search.predicates.version import Version, instant


@dataclass(frozen=True, slots=True)
class Links:
    """Where a page was found: the address with what was really used, and the cursors of those around it."""

    address: str
    used: Parameters
    next: str | None = None
    previous: str | None = None

    def entries(self) -> list[dict[str, str]]:
        """`self`, then the others, where there are others; the last page is only known once it is reached."""
        links = [{"relation": "self", "url": url(self.address, self.used)}]
        if self.next is not None or self.previous is not None:
            links.append({"relation": "first", "url": url(self.address, self.used)})
        for relation, cursor in (("previous", self.previous), ("next", self.next)):
            if cursor is not None:
                elsewhere = (*self.used, ("_cursor", cursor))
                links.append({"relation": relation, "url": url(self.address, elsewhere)})
        return links


@dataclass(frozen=True, slots=True)
class Inner:
    """A contained resource on its own: `version` is its state, its key the id that it has in `container`."""

    container: Key
    version: Version


def url(address: str, parameters: Parameters) -> str:
    """`address` with its query, percent-encoded."""
    return f"{address}?{urlencode(parameters, quote_via=quote, safe=',:|/')}" if parameters else address


def searchset(
    base_url: str,
    links: Links,
    matches: Sequence[Version | Inner],
    included: Sequence[Version],
    outcome: Resource | None,
    total: int | None,
    now: datetime,
) -> Bundled:
    """The page of a search: matches, then what they include, then what was ignored."""
    entries = [_found(base_url, version, "match") for version in matches]
    entries += [_found(base_url, version, "include") for version in included]
    if outcome is not None:
        entries.append(b'{"resource":' + to_text(outcome) + b',"search":{"mode":"outcome"}}')
    return _bundle("searchset", entries, now, total=total, links=links)


def history_bundle(
    base_url: str, links: Links, versions: Sequence[Version], total: int | None, now: datetime
) -> Bundled:
    """Versions, newest first, each with the request that made it."""
    entries = [_remembered(base_url, version) for version in versions]
    return _bundle("history", entries, now, total=total, links=links)


def responses(kind: str, entries: Iterable[bytes], now: datetime) -> Bundled:
    """A batch-response or transaction-response of entries made by `response_entry`."""
    return _bundle(kind, list(entries), now)


def response_entry(
    base_url: str, answer: Answer | FhirError, *, returning: str | None = None, head: bool = False
) -> bytes:
    """
    What became of one entry of a batch or transaction.

    `returning` is what the client prefers to get of what it has written; without it nothing but
    warnings. A `head` gets nothing of what it reads.
    """
    if isinstance(answer, FhirError):
        outcome = operation_outcome(answer.issues)
        return to_text({"response": {"status": _status(answer.status), "outcome": outcome}})
    match answer:
        case Found(version=version):
            return _answered(base_url, version, "200", with_resource=not head)
        case NotModified(version=version):
            return _answered(base_url, version, "304", with_resource=False)
        case Written(version=version, created=created, warnings=warnings):
            status = "201" if created else "200"
            if returning == "OperationOutcome":
                told = f"{version.key} was {'created' if created else 'updated'}"
                warnings = (*warnings, Issue("information", "informational", told))
            with_resource = returning == "representation"
            return _answered(base_url, version, status, *warnings, with_resource=with_resource)
        case Removed(version=version):
            state = {} if version is None else {"etag": version.etag}
            return to_text({"response": {"status": _status(204), **state}})
        case Bundled() | Document() if head:
            return to_text({"response": {"status": "200 OK"}})
        case Bundled(body=body):
            return b'{"resource":' + body + b',"response":{"status":"200 OK"}}'
        case Document(resource=resource):
            return to_text({"resource": resource, "response": {"status": "200 OK"}})


def operation_outcome(issues: Iterable[Issue]) -> dict[str, object]:
    """https://hl7.org/fhir/R4/operationoutcome.html"""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in issues]}


def location(base_url: str, version: Version) -> str:
    """The address of exactly this version."""
    return f"{base_url}/{version.key}/_history/{version.number}"


def full_url(base_url: str, key: Key) -> str:
    """The address of the resource, whatever its version."""
    return f"{base_url}/{key}"


def _issue(issue: Issue) -> dict[str, object]:
    told: dict[str, object] = {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        told["expression"] = list(issue.expression)
    return told


def _found(base_url: str, found: Version | Inner, mode: str) -> bytes:
    if isinstance(found, Inner):
        version, place = found.version, f"{full_url(base_url, found.container)}#{found.version.key.id}"
    else:
        version, place = found, full_url(base_url, found.key)
    assert version.body is not None, "no search finds a tombstone"
    address = to_text(place)
    return b"".join(
        (
            b'{"fullUrl":',
            address,
            b',"resource":',
            version.body,
            b',"search":{"mode":"',
            mode.encode(),
            b'"}}',
        )
    )


def _remembered(base_url: str, version: Version) -> bytes:
    method = "DELETE" if version.deleted else version.method
    address = version.key.type if method == "POST" else str(version.key)
    status = {"DELETE": 204, "POST": 201}.get(method, 201 if version.number == 1 else 200)
    told = to_text(
        {
            "request": {"method": method, "url": address},
            "response": {
                "status": _status(status),
                "etag": version.etag,
                "lastModified": instant(version.last_updated),
            },
        }
    )
    head = b'{"fullUrl":' + to_text(full_url(base_url, version.key))
    resource = b"" if version.body is None else b',"resource":' + version.body
    return head + resource + b"," + told[1:]


def _answered(base_url: str, version: Version, status: str, *warnings: Issue, with_resource: bool) -> bytes:
    response: dict[str, object] = {
        "status": _status(int(status)),
        "location": location(base_url, version),
        "etag": version.etag,
        "lastModified": instant(version.last_updated),
    }
    if warnings:
        response["outcome"] = operation_outcome(warnings)
    told = to_text({"response": response})
    head = b'{"fullUrl":' + to_text(full_url(base_url, version.key))
    resource = b',"resource":' + version.body if with_resource and version.body is not None else b""
    return head + resource + b"," + told[1:]


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"


def _bundle(
    kind: str,
    entries: Sequence[bytes],
    now: datetime,
    *,
    total: int | None = None,
    links: Links | None = None,
) -> Bundled:
    head: dict[str, object] = {
        "resourceType": "Bundle",
        "meta": {"lastUpdated": instant(now)},
        "type": kind,
    }
    if total is not None:
        head["total"] = total
    if links is not None:
        head["link"] = links.entries()
    listed = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return Bundled(to_text(head)[:-1] + listed + b"}")
