"""
What comes back: statuses, headers, bodies.

https://hl7.org/fhir/R4/http.html#2.21.0.4
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fhir_server.api.openapi.contents import resource_content
from fhir_server.api.openapi.telling import Telling

_SUCCESS: Final[Mapping[int, str]] = {
    200: "It is done; what the client prefers to see of it.",
    201: "It was created.",
    204: "It is done, and there is nothing to show.",
    304: "The client has this already.",
}

_REFUSALS: Final[Mapping[int, str]] = {
    400: "The request cannot be understood.",
    401: "No token, or one that does not hold.",
    403: "This caller may not.",
    404: "There is no such thing, or none that this caller may see.",
    406: "A format that this server does not write.",
    409: "Others write here; try again.",
    410: "It was deleted.",
    412: "A condition does not hold, or several match.",
    413: "The body is too large.",
    415: "A format that this server does not read.",
    422: "It breaks rules of FHIR or of a profile.",
    429: "Too many requests of this caller, or too many refused ones; Retry-After says when to come again.",
    501: "FHIR has it, this server has not.",
    503: "Not now; Retry-After says when.",
}

_AN_ISSUE: Final = {"severity": "error", "code": "invalid", "diagnostics": "What the client can change"}

_ALWAYS: Final = (400, 401, 403, 406, 429, 501, 503)

_HEADERS: Final[Mapping[str, str]] = {
    "ETag": 'The version: `W/"1"`.',
    "Last-Modified": "When it was written.",
    "Location": "Where this version is.",
    "X-Request-Id": "What the log and the audit record know the request by.",
}


def answers_of(telling: Telling, resource_type: str) -> dict[str, Any]:
    """By status, in their order."""
    shown = resource_type if telling.answered == "*" else telling.answered
    succeeded = {status: _success(status, telling, shown) for status in telling.answers}
    refused = {
        status: {"$ref": f"#/components/responses/{status}"} for status in {*_ALWAYS, *telling.refusals}
    }
    together = succeeded | refused
    return {str(status): together[status] for status in sorted(together)}


def refusals() -> dict[str, Any]:
    """Those of a document, by status: each is an OperationOutcome."""
    return {
        str(status): {
            "description": told,
            "content": resource_content("OperationOutcome", issue=[_AN_ISSUE]),
        }
        for status, told in _REFUSALS.items()
    }


def headers() -> dict[str, Any]:
    return {name: {"description": told, "schema": {"type": "string"}} for name, told in _HEADERS.items()}


def _success(status: int, telling: Telling, shown: str) -> dict[str, Any]:
    told: dict[str, Any] = {"description": _SUCCESS[status]}
    names = ["X-Request-Id"]
    if telling.answered == "*":
        names += ["ETag", "Last-Modified"]
    if telling.body in ("resource", "patch"):
        names.append("Location")
    told["headers"] = _headers(names)
    if status not in (204, 304):
        told["content"] = resource_content(shown)
        if shown == "Binary":
            told["content"]["*/*"] = {"schema": {"type": "string", "format": "binary"}}
    return told


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(names)}
