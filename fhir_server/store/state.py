"""
Small documents that all processes share: settings that were served with, wrapped keys.

What is in them is their owners' affair. A document belongs to a kind (`settings`, `signing-key`)
and has an id within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from fhir_server.store.database import Database
from fhir_server.store.documents import Document
from fhir_server.store.faults import translated


class State:
    """Documents by kind and id; durable when a call returns."""

    def __init__(self, database: Database) -> None:
        self._state = database.state

    async def get(self, kind: str, id: str) -> Document | None:
        """The document, None when there is none."""
        with translated():
            fields = await self._state.find_one({"_id": f"{kind}/{id}"})
        return fields["value"] if fields else None

    async def all(self, kind: str) -> dict[str, Document]:
        """Each document of a kind by its id."""
        with translated():
            found = await self._state.find({"_id": {"$gt": f"{kind}/", "$lt": f"{kind}0"}}).to_list()
        return {fields["_id"].removeprefix(f"{kind}/"): fields["value"] for fields in found}

    async def count(self, kind: str) -> int:
        """How many there are of a kind."""
        with translated():
            return await self._state.count_documents({"_id": {"$gt": f"{kind}/", "$lt": f"{kind}0"}})

    async def put(self, kind: str, id: str, value: Mapping[str, Any]) -> None:
        """Make `value` the document, whatever was there."""
        fields = {"_id": f"{kind}/{id}", "value": value}
        with translated():
            await self._state.replace_one({"_id": fields["_id"]}, fields, upsert=True)

    async def replace(self, kind: str, id: str, known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
        """Make `value` the document if it still is what is `known` of it, and say whether it was."""
        asked = {"_id": f"{kind}/{id}", "value": known}
        with translated():
            done = await self._state.replace_one(asked, {"_id": asked["_id"], "value": value})
        return done.matched_count == 1

    async def insert(self, kind: str, id: str, value: Mapping[str, Any]) -> Document:
        """The document that is there, which is `value` when there was none: one of many callers wins."""
        with translated():
            try:
                await self._state.insert_one({"_id": f"{kind}/{id}", "value": value})
            except DuplicateKeyError:
                fields = await self._state.find_one({"_id": f"{kind}/{id}"})
                assert fields is not None, "documents of the state are never removed"
                return fields["value"]  # type: ignore[no-any-return] # each kind has its own shape
        return dict(value)
