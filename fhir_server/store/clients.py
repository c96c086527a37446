"""Registered clients, and what may happen once."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Final

from pymongo.errors import DuplicateKeyError

from fhir_server.smart.clients import Client
from fhir_server.smart.state_codes import state_codes
from fhir_server.store.app_state import AppStateCodes
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, in_utc
from fhir_server.store.faults import translated
from fhir_server.store.state import State

KIND: Final = "client"


class Clients:
    """Each by its client_id; durable when a call returns."""

    def __init__(self, database: Database, state: State, app_state: AppStateCodes) -> None:
        self._database = database
        self._state = state
        self._app_state = app_state

    async def get(self, id: str) -> Client | None:
        """The client, None when none is registered under this id."""
        fields = await self._state.get(KIND, id)
        return None if fields is None else _client(id, fields)

    async def all(self) -> list[Client]:
        """All of them, by id."""
        found = await self._state.all(KIND)
        return [_client(id, fields) for id, fields in sorted(found.items())]

    async def count(self) -> int:
        """How many are registered."""
        return await self._state.count(KIND)

    async def register(self, client: Client) -> bool:
        """Make it known; False when the id is taken."""
        codes = state_codes(client.state_codes)
        if codes and await self.get(client.id) is None:
            # Before anybody may write under them, they are out of everybody else's sight.
            await self._app_state.moved(codes)
        value = _value(client)
        kept = await self._state.insert(KIND, client.id, value)
        if kept == value and codes:
            await self._app_state.moved(())
        return kept == value

    async def replace(self, known: Client, client: Client) -> bool:
        """
        Make `client` of the one that is `known`, if that still is what is registered, and say whether it was.

        Both keep app state under the same codes.
        """
        assert (known.id, known.state_codes) == (client.id, client.state_codes), "who it is stays"
        fields = await self._state.get(KIND, known.id)
        if fields is None or _client(known.id, fields) != known:
            return False
        return await self._state.replace(KIND, known.id, fields, _value(client))

    async def remove(self, id: str) -> bool:
        """It gets no token any more; False when there was none. Those that it has are revoked apart."""
        with translated():
            done = await self._database.state.delete_one({"_id": f"{KIND}/{id}"})
        return done.deleted_count == 1

    async def once(self, client_id: str, jti: str, until: datetime) -> bool:
        """True for the first of all who say this, in whichever process; it is known until then at least."""
        name = sha256(f"{client_id}\0{jti}".encode()).hexdigest()
        with translated():
            try:
                # The index of `locks` forgets a document an hour after `at`.
                await self._database.locks.insert_one({"_id": f"jti/{name}", "at": until})
            except DuplicateKeyError:
                return False
        return True


def _value(client: Client) -> Document:
    return {
        "name": client.name,
        "scope": client.scope,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "registered": client.registered,
        "redirect_uris": list(client.redirect_uris),
        "launch_uris": list(client.launch_uris),
        "secret": client.secret,
        "decided_for_clinicians": client.decided_for_clinicians,
        "state_codes": list(client.state_codes),
    }


def _client(id: str, fields: Document) -> Client:
    fields = in_utc(fields)
    return Client(
        id,
        fields["name"],
        fields["scope"],
        fields["jwks"],
        fields["jwks_uri"],
        fields["registered"],
        tuple(fields.get("redirect_uris", ())),
        tuple(fields.get("launch_uris", ())),
        fields.get("secret"),
        tuple(fields.get("state_codes", ())),
        fields.get("decided_for_clinicians", False),
    )
