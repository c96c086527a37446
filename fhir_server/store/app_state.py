"""
Which codes are app state, for all processes: from the registered clients, and from those that were.

A code that a client was ever registered with is kept as a document of its own, so that what stands under it
does not come into everybody's sight when the client goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.policy.app_state import AppState, May, state_token
from fhir_server.smart.state_codes import StateCode, state_code
from fhir_server.store.database import Database
from fhir_server.store.epoch import move_app_state
from fhir_server.store.faults import translated

KIND: Final = "state-code"
_CLIENTS: Final = {"_id": {"$gt": "client/", "$lt": "client0"}, "value.state_codes.0": {"$exists": True}}
_CODES: Final = {"_id": {"$gt": f"{KIND}/", "$lt": f"{KIND}0"}}


class AppStateCodes:
    """Read as a whole; there are as many as apps that keep state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def moved(self, codes: Iterable[StateCode]) -> None:
        """
        Keep `codes` for app state and have each process look anew at what clients are registered with.

        Durable, and known to each process that looks at the epoch, when it returns. Raises Unavailable.
        """
        told = [
            UpdateOne(
                {"_id": f"{KIND}/{one.system}|{one.code}"},
                {"$set": {"value": {"system": one.system, "code": one.code}}},
                upsert=True,
            )
            for one in codes
        ]

        async def change(session: AsyncClientSession) -> None:
            await move_app_state(self._database, session)
            if told:
                await self._database.state.bulk_write(told, session=session)

        await self._database.commit(change)

    async def all(self) -> AppState:
        """As they are now. Raises Unavailable."""
        with translated():
            codes = await self._database.state.find(_CODES).to_list()
            clients = await self._database.state.find(_CLIENTS, {"value.state_codes": 1}).to_list()
        reserved = {state_token(one["value"]["system"], one["value"]["code"]) for one in codes}
        allowed: dict[str, dict[str, May]] = {}
        for one in clients:
            found = map(state_code, one["value"]["state_codes"])
            allowed[one["_id"].removeprefix("client/")] = {
                state_token(code.system, code.code): code.may for code in found
            }
        return AppState(frozenset(reserved.union(*allowed.values())), allowed)
