"""
What there is to tell of each interaction: its name, its headers, its parameters, its answers.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from fhir_server.api.routes import Route
from fhir_server.interactions.registered import SystemInteraction, TypeInteraction

Query = Literal["none", "criteria", "search", "history", "operation"]
Body = Literal["none", "resource", "bundle", "patch", "form", "operation"]

_WRITING: Final = (409, 412, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Telling:
    """
    `answers` are the statuses of success, `refusals` those beside what every interaction has.

    `answered` is the resource type that success shows; `*` is that of the address.
    """

    name: str
    section: str
    page: str
    answers: tuple[int, ...]
    answered: str = "*"
    headers: tuple[str, ...] = ()
    query: Query = "none"
    body: Body = "none"
    refusals: tuple[int, ...] = ()


SECTIONS: Final = (
    "Capabilities",
    "Read and write",
    "Search",
    "Conditional",
    "Batch and transaction",
    "History",
    "Operations",
)
"""In the order in which a document shows them."""

_, _READ, _SEARCH, _WITH_CRITERIA, _BUNDLES, _HISTORY, _OPERATIONS = SECTIONS
_HTTP: Final = "http.html#"

_TOLD: Final[Mapping[TypeInteraction | SystemInteraction, Telling]] = {
    "read": Telling(
        "Read", _READ, _HTTP + "read", (200, 304),
        headers=("If-None-Match", "If-Modified-Since"), refusals=(404, 410),
    ),
    "create": Telling(
        "Create", _READ, _HTTP + "create", (201, 200),
        headers=("If-None-Exist", "Prefer"), body="resource", refusals=_WRITING,
    ),
    "update": Telling(
        "Update", _READ, _HTTP + "update", (200, 201),
        headers=("If-Match", "If-None-Match", "Prefer"), body="resource", refusals=_WRITING,
    ),
    "patch": Telling(
        "Patch", _READ, _HTTP + "patch", (200,),
        headers=("If-Match", "Prefer"), body="patch", refusals=(404, 410, *_WRITING),
    ),
    "delete": Telling(
        "Delete", _READ, _HTTP + "delete", (204, 200), answered="OperationOutcome",
        headers=("If-Match", "Prefer"), refusals=(404, 409, 412),
    ),
    "vread": Telling("Read a version", _HISTORY, _HTTP + "vread", (200,), refusals=(404, 410)),
    "history-instance": Telling(
        "History of a resource", _HISTORY, _HTTP + "history", (200,), "Bundle",
        query="history", refusals=(404,),
    ),
    "history-type": Telling(
        "History of the type", _HISTORY, _HTTP + "history", (200,), "Bundle", query="history"
    ),
    "history-system": Telling(
        "History of everything", _HISTORY, _HTTP + "history", (200,), "Bundle", query="history"
    ),
    "search-type": Telling(
        "Search", _SEARCH, "search.html", (200,), "Bundle", headers=("Prefer",), query="search"
    ),
    "search-system": Telling(
        "Search over several types", _SEARCH, "search.html", (200,), "Bundle",
        headers=("Prefer",), query="search",
    ),
    "transaction": Telling(
        "Transaction or batch", _BUNDLES, _HTTP + "transaction", (200,), "Bundle",
        headers=("Prefer",), body="bundle", refusals=(404, *_WRITING),
    ),
    "batch": Telling(
        "Transaction or batch", _BUNDLES, _HTTP + "transaction", (200,), "Bundle",
        headers=("Prefer",), body="bundle", refusals=(404, *_WRITING),
    ),
}  # fmt: skip

_CONDITIONAL: Final[Mapping[TypeInteraction | SystemInteraction, tuple[str, str]]] = {
    "update": ("Update what matches, or create it", "cond-update"),
    "patch": ("Patch the one that matches", "patch"),
    "delete": ("Delete what matches", "delete"),
}


def telling_of(route: Route) -> Telling:
    """What there is to tell of the route."""
    if not route.serves:
        return _of_operation(route)
    code = route.serves[0]
    told = _TOLD[code]
    if route.template.startswith("{compartment}"):
        told = _in_a_compartment(told)
    if route.template == "{type}" and code in _CONDITIONAL:
        return _with_criteria(told, *_CONDITIONAL[code])
    if route.template.endswith("_search"):
        return _by_form(told)
    return told


def id_of(route: Route) -> str:
    """What tells the route from the others of a document."""
    code = "-".join(route.serves) or route.template.rpartition("$")[2]
    level = "instance" if "{id}" in route.template else "type" if "{type}" in route.template else "system"
    if not route.serves:
        return f"{code}-{level}-{route.method.lower()}"
    if route.template == "{type}" and code in _CONDITIONAL:
        return f"conditional-{code}"
    if route.template.startswith("{compartment}"):
        code += "-of-all-types-in-compartment" if "*" in route.template else "-in-compartment"
    return f"{code}-by-post" if route.template.endswith("_search") else code


def _with_criteria(told: Telling, name: str, anchor: str) -> Telling:
    return Telling(
        name,
        _WITH_CRITERIA,
        _HTTP + anchor,
        told.answers,
        told.answered,
        headers=told.headers,
        query="criteria",
        body=told.body,
        refusals=tuple(sorted({*told.refusals, 412})),
    )


def _in_a_compartment(told: Telling) -> Telling:
    return replace(
        told, name=f"{told.name} in a compartment", page="compartmentdefinition.html", refusals=(404,)
    )


def _by_form(told: Telling) -> Telling:
    return Telling(
        f"{told.name} by POST",
        told.section,
        told.page,
        told.answers,
        told.answered,
        headers=told.headers,
        query="none",
        body="form",
        refusals=(*told.refusals, 413, 415),
    )


def _of_operation(route: Route) -> Telling:
    name = route.template.rpartition("$")[2]
    by_get = route.method == "GET"
    return Telling(
        f"${name}",
        _OPERATIONS,
        "operations.html",
        (200,),
        "Resource",
        headers=() if by_get else ("If-Match",),
        query="operation",
        body="none" if by_get else "operation",
        refusals=(404, 410, 412) if by_get else (404, 410, *_WRITING),
    )
