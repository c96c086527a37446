"""
Somebody else's FHIR server, as far as the adapter needs one: transactions with preconditions,
read, and search by identifier and _id. Told to, it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from adapters.fhir_client import FhirClient
from adapters.fhir_json import Json, parse, render

BASE = "http://fhir.example/r4"

Trouble = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class SomebodysServer:
    """
    `resources` by reference. `trouble` is asked before each request and may answer in its stead;
    `after` is called when a transaction has been committed and may lose its answer. Not every
    server heeds `ifNoneMatch` where R4 does not speak of it.
    """

    resources: dict[str, Json] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    bundles: list[Json] = field(default_factory=list)
    trouble: Trouble | None = None
    after: Trouble | None = None
    knows_if_none_match: bool = True

    def client(self) -> FhirClient:
        return FhirClient(BASE, a_token, httpx.MockTransport(self.answer))

    def of_type(self, resource_type: str) -> list[Json]:
        return [one for one in self.resources.values() if one["resourceType"] == resource_type]

    def only(self, resource_type: str) -> Json:
        (resource,) = self.of_type(resource_type)
        return resource

    def put(self, resource: Json) -> Json:
        reference = f"{resource['resourceType']}/{resource['id']}"
        before = self.resources.get(reference)
        number = int(before["meta"]["versionId"]) + 1 if before else 1
        self.resources[reference] = {**resource, "meta": {"versionId": str(number)}}
        return self.resources[reference]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # Others get their turn, as on a network.
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.trouble is not None and (instead := self.trouble(request)) is not None:
            return instead
        path = request.url.path.removeprefix("/r4").strip("/")
        if request.method == "POST":
            answer = self._transaction(parse(request.content))
            instead = self.after(request) if self.after is not None else None
            return instead or answer
        if "/" in path:
            found = self.resources.get(path)
            return fhir(200, found) if found else refusal(404, "not-found")
        return fhir(200, self._searchset(path, dict(request.url.params)))

    def _searchset(self, resource_type: str, asked: dict[str, str]) -> Json:
        matches = [one for one in self.of_type(resource_type) if _matches(one, asked)]
        return {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": one} for one in matches],
        }

    def _transaction(self, bundle: Json) -> httpx.Response:
        self.bundles.append(bundle)
        for entry in bundle["entry"]:
            request = entry["request"]
            current = self.resources.get(request["url"])
            version = f'W/"{current["meta"]["versionId"]}"' if current else None
            stale = "ifMatch" in request and request["ifMatch"] != version
            must_be_new = self.knows_if_none_match and request.get("ifNoneMatch") == "*"
            if stale or (must_be_new and current):
                return refusal(412, "conflict")
        for entry in bundle["entry"]:
            self.put(entry["resource"])
        return fhir(200, {"resourceType": "Bundle", "type": "transaction-response"})


async def a_token() -> str:
    return "a-token"


def fhir(status: int, resource: Any) -> httpx.Response:
    return httpx.Response(status, content=render(resource), headers={"Content-Type": "application/fhir+json"})


def refusal(status: int, code: str, expression: str = "", diagnostics: str = "no") -> httpx.Response:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    told = {**issue, "expression": [expression]} if expression else issue
    return fhir(status, {"resourceType": "OperationOutcome", "issue": [told]})


def times(count: int, answer: Callable[[], httpx.Response], method: str = "POST") -> Trouble:
    """Answer so for the first `count` requests of this method."""
    left = [count]

    def trouble(request: httpx.Request) -> httpx.Response | None:
        if request.method != method or left[0] == 0:
            return None
        left[0] -= 1
        return answer()

    return trouble


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _matches(resource: Json, asked: dict[str, str]) -> bool:
    if "_id" in asked:
        return resource["id"] in asked["_id"].split(",")
    system, _, value = asked["identifier"].partition("|")
    return {"system": system, "value": value.replace("\\", "")} in _identifiers(
        resource.get("identifier", ())
    )


def _identifiers(entries: Iterable[Json]) -> list[Json]:
    return [{"system": entry.get("system"), "value": entry.get("value")} for entry in entries]
