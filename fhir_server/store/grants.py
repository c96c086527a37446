"""
What users have granted to apps, each changed by one update at a time.

A code is redeemed once, and a refresh token renewed once, by whoever comes first; what says so is the
document itself. It is forgotten by an index on `at`, when nothing that came from it could hold any more.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_server.smart.grants import Granted
from fhir_server.store.database import Database
from fhir_server.store.documents import Document, in_utc
from fhir_server.store.faults import translated

FORGOTTEN_AFTER: Final = timedelta(hours=2)
"""Longer than an access token holds, so that a code or token that comes again is known for what it is."""


class Grants:
    """Each by its id; durable when a call returns."""

    def __init__(self, database: Database) -> None:
        self._grants = database.grants

    async def add(self, granted: Granted) -> None:
        """Make it known."""
        with translated():
            await self._grants.insert_one(_document(granted))

    async def get(self, id: str) -> Granted | None:
        """The grant, None when there is none."""
        with translated():
            found = await self._grants.find_one({"_id": id})
        return None if found is None else _granted(found)

    async def redeem(self, granted: Granted, refresh: str | None, now: datetime, until: datetime) -> bool:
        """True for the first who redeems its code; `refresh` is the hash of its first refresh token."""
        asked = {"_id": granted.id, "code": granted.code, "redeemed": False, "revoked": False}
        return await self._changed(asked, {"redeemed": True, "refresh": refresh}, now, until)

    async def renew(self, granted: Granted, refresh: str, now: datetime, until: datetime) -> bool:
        """True for the first who renews the refresh token that `granted` has."""
        asked = {"_id": granted.id, "refresh": granted.refresh, "revoked": False}
        return await self._changed(asked, {"refresh": refresh}, now, until)

    async def revoke(self, id: str) -> bool:
        """Neither code nor refresh token holds any more; False when it was so already."""
        with translated():
            done = await self._grants.update_one({"_id": id, "revoked": False}, {"$set": {"revoked": True}})
        return done.modified_count == 1

    async def revoke_all(self, account: str) -> int:
        """As `revoke`, of each that this user has granted, redeemed or not; how many held until now."""
        with translated():
            done = await self._grants.update_many(
                {"user": account, "revoked": False}, {"$set": {"revoked": True}}
            )
        return done.modified_count

    async def revoke_all_of_client(self, client: str) -> int:
        """As `revoke_all`, of each that this client was given; all grants are looked through."""
        with translated():
            done = await self._grants.update_many(
                {"client": client, "revoked": False}, {"$set": {"revoked": True}}
            )
        return done.modified_count

    async def of_account(self, account: str, now: datetime, most: int) -> list[Granted]:
        """What this user has granted that still holds, the latest first; not more than `most`."""
        asked = {"user": account, "revoked": False, "redeemed": True, "until": {"$gt": now}}
        return await self._found(asked, most)

    async def of_session(self, session: str, now: datetime) -> list[Granted]:
        """What holds as long as this session of a browser does."""
        return await self._found({"session": session, "revoked": False, "until": {"$gt": now}})

    async def _found(self, asked: Document, most: int = 0) -> list[Granted]:
        """0: all of them."""
        with translated():
            found = await self._grants.find(asked, sort=[("made", -1)], limit=most).to_list()
        return [_granted(fields) for fields in found]

    async def _changed(
        self, asked: Document, members: dict[str, Any], now: datetime, until: datetime
    ) -> bool:
        told = {**members, "used": now, "until": until, "at": until + FORGOTTEN_AFTER}
        with translated():
            done = await self._grants.update_one(asked, {"$set": told})
        return done.modified_count == 1


def _document(granted: Granted) -> Document:
    fields = asdict(granted)
    # `user` is the account here, which is asked by: whom FHIR knows them as is `fhir_user`, as in `users`.
    told = {"_id": fields.pop("id"), "fhir_user": fields.pop("user"), "user": fields.pop("account")}
    if fields["session"] is None:
        del fields["session"]
    return {**told, **fields, "at": granted.until + FORGOTTEN_AFTER}


def _granted(fields: Document) -> Granted:
    fields = in_utc(fields)
    told: Document = {name: fields.get(name) for name in Granted.__slots__}
    told.update(id=fields["_id"], account=fields["user"], user=fields["fhir_user"])
    return Granted(**told)
