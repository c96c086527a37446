"""
Users, and the failures of those who would log in.

What decides whether a guess counts is one update of one document: many that arrive at once, in whichever
process, are counted one after the other, and after the one that locks none is let in. A code is used by the
first who presents it.

A document of `users` has the fields of a User; times are milliseconds since 1970, `failed` is that of the
last failure, `changed` that of the password. Names that nobody has are counted alike, in `tickets`, as
`login/<hash>`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from fhir_server.smart.lock_out import (
    DOUBLINGS_MAX,
    FAILURES_FREE,
    FORGOTTEN,
    LOCKED_SECONDS_MAX,
    LOCKED_SECONDS_MIN,
)
from fhir_server.smart.users import User
from fhir_server.store.database import Database
from fhir_server.store.documents import MILLISECOND, Document, milliseconds, moment
from fhir_server.store.faults import translated

_NO_FAILURES: Final[Document] = {"failures": 0, "failed": None, "locked_until": None}


class Users:
    """Each by an id and by a name that no other has; durable when a call returns."""

    def __init__(self, database: Database) -> None:
        self._users = database.users
        self._tickets = database.tickets

    async def get(self, id: str) -> User | None:
        """The user, None when there is none of this id."""
        return await self._found({"_id": id})

    async def named(self, name: str) -> User | None:
        """The user of this login name."""
        return await self._found({"name": name})

    async def all(self) -> list[User]:
        """All of them, by name."""
        with translated():
            return [_user(fields) for fields in await self._users.find({}, sort=[("name", 1)]).to_list()]

    async def add(self, user: User) -> bool:
        """Make a new user known; False when the name is taken."""
        with translated():
            try:
                await self._users.insert_one(_document(user))
            except DuplicateKeyError:
                return False
        return True

    async def remove(self, id: str) -> bool:
        """Nobody logs in under this id any more; False when nobody did."""
        with translated():
            done = await self._users.delete_one({"_id": id})
        return done.deleted_count == 1

    async def set_password(self, id: str, hash: str, now: datetime) -> bool:
        """A new password, with which failures at the old one are over. False when there is no such user."""
        return await self._set(id, {"password": hash, "changed": milliseconds(now), **_NO_FAILURES})

    async def rehashed(self, id: str, known: str, hash: str) -> bool:
        """The same password by other parameters, unless it is another one by now."""
        return await self._updated({"_id": id, "password": known}, {"$set": {"password": hash}})

    async def set_second_factor(self, id: str, totp: str | None) -> bool:
        """The sealed secret of a new second factor, or none any more."""
        return await self._set(id, {"totp": totp, "totp_used": None})

    async def set_fhir_user(self, id: str, fhir_user: str | None) -> bool:
        """Whom the user is in the record from now on."""
        return await self._set(id, {"fhir_user": fhir_user})

    async def disable(self, id: str) -> bool:
        """Nothing that this user knows logs in, until `enable`."""
        return await self._set(id, {"disabled": True})

    async def enable(self, id: str) -> bool:
        """Undoes `disable`."""
        return await self._set(id, {"disabled": False})

    async def unlock(self, id: str) -> bool:
        """Forget the failures."""
        return await self._set(id, _NO_FAILURES)

    async def failed(self, id: str, now: datetime) -> User | None:
        """Count one more failure, which may lock: the user then, None when there is none any more."""
        with translated():
            fields = await self._users.find_one_and_update(
                {"_id": id}, _one_more_failure(now), return_document=ReturnDocument.AFTER
            )
        return None if fields is None else _user(fields)

    async def succeeded(self, user: User, now: datetime) -> bool:
        """Forget the failures, and say whether a guess that was right counts: as `may_log_in`."""
        return await self._updated(_open(user, now), {"$set": _NO_FAILURES})

    async def may_log_in(self, user: User, now: datetime) -> bool:
        """Is there this user at this moment, with what they proved, neither locked nor disabled?"""
        with translated():
            return await self._users.find_one(_open(user, now), {"_id": 1}) is not None

    async def use_code(self, id: str, step: int) -> bool:
        """True once for each time step, and for none before one that was used."""
        return await self._updated(
            {"_id": id, "totp_used": {"$not": {"$gte": step}}}, {"$set": {"totp_used": step}}
        )

    async def unknown_failed(self, hidden: str, now: datetime) -> datetime | None:
        """As `failed`, of a name that nobody has; until when it is locked."""
        counted = [*_one_more_failure(now), {"$set": {"at": now + FORGOTTEN}}]
        with translated():
            fields = await self._tickets.find_one_and_update(
                {"_id": f"login/{hidden}"}, counted, upsert=True, return_document=ReturnDocument.AFTER
            )
        assert fields is not None, "it is made when it is missing"
        return _moment(fields["locked_until"])

    async def unknown_locked_until(self, hidden: str) -> datetime | None:
        """None when this name, which nobody has, is not counted."""
        with translated():
            fields = await self._tickets.find_one({"_id": f"login/{hidden}"})
        return None if fields is None else _moment(fields["locked_until"])

    async def _found(self, asked: Document) -> User | None:
        with translated():
            fields = await self._users.find_one(asked)
        return None if fields is None else _user(fields)

    async def _set(self, id: str, fields: Document) -> bool:
        return await self._updated({"_id": id}, {"$set": fields})

    async def _updated(self, asked: Document, change: Document) -> bool:
        with translated():
            return (await self._users.update_one(asked, change)).matched_count == 1


def _one_more_failure(now: datetime) -> list[Document]:
    """An update that counts, and locks for `lock_out.locked_seconds`."""
    told = milliseconds(now)
    recent = {"$gt": ["$failed", told - FORGOTTEN // MILLISECOND]}
    doublings = {"$min": [{"$subtract": ["$failures", FAILURES_FREE + 1]}, DOUBLINGS_MAX]}
    seconds = {"$min": [{"$multiply": [LOCKED_SECONDS_MIN, {"$pow": [2, doublings]}]}, LOCKED_SECONDS_MAX]}
    until = {"$toLong": {"$add": [told, {"$multiply": [1000, seconds]}]}}
    locks = {"$gt": ["$failures", FAILURES_FREE]}
    return [
        {"$set": {"failures": {"$cond": [recent, {"$add": ["$failures", 1]}, 1]}, "failed": told}},
        # Clocks of processes differ a little: a lock is never made shorter.
        {"$set": {"locked_until": {"$cond": [locks, {"$max": ["$locked_until", until]}, "$locked_until"]}}},
        {"$set": {"locked_until": {"$ifNull": ["$locked_until", None]}}},
    ]


def _open(user: User, now: datetime) -> Document:
    return {
        "_id": user.id,
        # Not the hash, which may have been made anew of the same password.
        "changed": milliseconds(user.password_changed),
        "totp": user.totp,
        "disabled": False,
        "locked_until": {"$not": {"$gt": milliseconds(now)}},
    }


def _document(user: User) -> Document:
    return {
        "_id": user.id,
        "name": user.name,
        "password": user.password,
        "fhir_user": user.fhir_user,
        "totp": user.totp,
        "totp_used": user.totp_used,
        "disabled": user.disabled,
        "made": milliseconds(user.made),
        "changed": milliseconds(user.password_changed),
        **_NO_FAILURES,
    }


def _user(fields: Document) -> User:
    return User(
        id=fields["_id"],
        name=fields["name"],
        password=fields["password"],
        fhir_user=fields["fhir_user"],
        made=moment(fields["made"]),
        password_changed=moment(fields["changed"]),
        totp=fields["totp"],
        totp_used=fields["totp_used"],
        disabled=fields["disabled"],
        failures=fields["failures"],
        locked_until=_moment(fields["locked_until"]),
    )


def _moment(told: Any) -> datetime | None:
    return None if told is None else moment(told)
