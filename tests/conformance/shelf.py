"""Some resources of one test, stored over HTTP under names, and searches that find them by these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import httpx

from fhir_server.r4.resource import to_text

SYSTEM: Final = "urn:tests:shelf"


@dataclass(frozen=True, slots=True)
class Shelf:
    """
    What a test has put somewhere: `id` is the test's own, and the tag of all its resources.

    A resource is stored as `[id]-[name]`.
    """

    client: httpx.AsyncClient
    id: str

    def at(self, name: str, type: str = "Patient") -> str:
        """The address of what is stored under the name."""
        return f"{type}/{self.id}-{name}"

    def to(self, name: str, type: str = "Patient") -> dict[str, str]:
        """A reference to it."""
        return {"reference": self.at(name, type)}

    async def has(self, type: str, **named: dict[str, Any]) -> None:
        """Stores resources of one type."""
        entries = [self._entry(name, {"resourceType": type, **one}) for name, one in named.items()]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        headers = {"Content-Type": "application/fhir+json"}
        answer = await self.client.post("/", content=to_text(bundle), headers=headers)
        assert answer.status_code == httpx.codes.OK, answer.text

    async def finds(self, query: str, mode: str = "match") -> set[str]:
        """The names of what is found of the shelf, by `Type?criteria`; all of one search mode."""
        return set(await self.lists(query, mode))

    async def lists(self, query: str, mode: str = "match") -> list[str]:
        """The same, in the order of the answer."""
        bundle = await self.answer(query)
        return [
            entry["resource"]["id"].removeprefix(f"{self.id}-")
            for entry in bundle.get("entry", ())
            if entry["search"]["mode"] == mode
        ]

    async def answer(self, query: str) -> dict[str, Any]:
        """The Bundle that answers the search within the shelf."""
        path, _, criteria = query.partition("?")
        answer = await self.client.get(f"/{path}?{criteria}&_tag={SYSTEM}|{self.id}")
        assert answer.status_code == httpx.codes.OK, answer.text
        bundle: dict[str, Any] = answer.json()
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
        return bundle

    async def refuses(self, query: str, *, status: int = httpx.codes.BAD_REQUEST) -> str:
        """The words of the refusal."""
        answer = await self.client.get(f"/{query}")
        assert answer.status_code == status, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
        told: str = answer.json()["issue"][0]["diagnostics"]
        return told

    def _entry(self, name: str, resource: dict[str, Any]) -> dict[str, Any]:
        meta = resource.get("meta", {})
        tags = [*meta.get("tag", ()), {"system": SYSTEM, "code": self.id}]
        tagged = {**resource, "id": f"{self.id}-{name}", "meta": {**meta, "tag": tags}}
        url = f"{resource['resourceType']}/{tagged['id']}"
        return {"resource": tagged, "request": {"method": "PUT", "url": url}}
