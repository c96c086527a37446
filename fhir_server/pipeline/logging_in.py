"""
Who logs in proves it: by a password, then by a code where the user has a second factor; either way a record.

What is refused tells nothing: a name that nobody has, a wrong password and a disabled user have one answer,
cost the same questions to the database and one hash, and are locked out alike. A guess counts by an update
that is made after it was looked at, so however many arrive at once, none is let in after the one that locks.
With a second factor the password alone forgets no failures: else it would be a licence to guess codes.

The record says whom it concerns and why, never the name that was typed: people type passwords there.

https://pages.nist.gov/800-63-4/sp800-63b.html, https://hl7.org/fhir/R4/security.html#login
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import ClassVar, Final, NoReturn

import structlog

from audit.record import Record
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import TooMany
from fhir_server.smart.caller import Contact
from fhir_server.smart.lock_out import seconds_left
from fhir_server.smart.users import User, login_name

log = structlog.get_logger()

_LOCKED: Final = "locked after failures"
_LOCKING: Final = "this failure locks"


class LoginRefused(Exception):
    """Not logged in; why is in the record alone."""

    status: ClassVar[int] = 401

    def __init__(self) -> None:
        super().__init__("This name and password, or this code, do not log in")


class LockedOut(Exception):
    """Too many failures in a row at this name, whether somebody has it or not."""

    status: ClassVar[int] = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many failures in a row; try again in {seconds} seconds")
        self.seconds = seconds


async def proven_by_password(name: str, password: str, services: Services, contact: Contact) -> User:
    """
    The user whose name and password these are; with a second factor, `proven_by_code` is still to come.

    Raises LoginRefused and LockedOut, which are recorded; TooMany, which is not: nothing was looked at; and
    Unavailable.
    """
    services.passwords.require_room()
    meant = login_name(name)
    hidden = services.hidden_names.hidden(meant)
    users = services.store.users
    user, unknown_until = await asyncio.gather(users.named(meant), users.unknown_locked_until(hidden))
    locked_until = unknown_until if user is None else user.locked_until
    if seconds := seconds_left(locked_until, services.clock()):
        await _locked_out(seconds, user, services, contact)
    right = await services.passwords.verified(None if user is None else user.password, password)
    if user is None:
        await _unknown_refused(hidden, services, contact)
    elif not right:
        await _refused("wrong password", user, services, contact)
    elif not await _counts(user, services):
        await _refused(
            "right password of a user who is locked, disabled or changed meanwhile", user, services, contact
        )
    await _rehashed(user, password, services)
    if user.totp is None:
        await _logged_in(user, services, contact)
    return user


async def proven_by_code(user: User, code: str, services: Services, contact: Contact) -> User:
    """
    The user, as the store has it now, whose second factor made this code.

    `user` is one that `proven_by_password` gave a short while ago. Raises as that, without TooMany.
    """
    users = services.store.users
    known = await users.get(user.id)
    if known is None or known.totp is None or known.password_changed != user.password_changed:
        # Removed, or changed by the operator meanwhile: what was proven before is proven no more.
        await _told("the user was changed meanwhile", 0, user, services, contact)
    now = services.clock()
    if seconds := seconds_left(known.locked_until, now):
        await _locked_out(seconds, known, services, contact)
    step = services.second_factors.step(known.id, known.totp, code, now)
    if step is None:
        await _refused("wrong code", known, services, contact)
    elif not await users.use_code(known.id, step):
        await _refused("a code that was used before", known, services, contact)
    elif not await users.succeeded(known, services.clock()):
        await _refused(
            "right code of a user who is locked, disabled or changed meanwhile", known, services, contact
        )
    await _logged_in(known, services, contact)
    return known


async def _counts(user: User, services: Services) -> bool:
    now = services.clock()
    if user.totp is None:
        return await services.store.users.succeeded(user, now)
    return await services.store.users.may_log_in(user, now)


async def _rehashed(user: User, password: str, services: Services) -> None:
    if services.passwords.needs_rehash(user.password):
        with suppress(TooMany):
            hash = await services.passwords.hashed(password)
            await services.store.users.rehashed(user.id, user.password, hash)


async def _logged_in(user: User, services: Services, contact: Contact) -> None:
    await services.store.append(_record(None, user, services, contact))


async def _unknown_refused(hidden: str, services: Services, contact: Contact) -> NoReturn:
    now = services.clock()
    until = await services.store.users.unknown_failed(hidden, now)
    await _told("unknown name", seconds_left(until, now), None, services, contact)


async def _refused(reason: str, user: User, services: Services, contact: Contact) -> NoReturn:
    now = services.clock()
    counted = await services.store.users.failed(user.id, now)
    until = None if counted is None else counted.locked_until
    await _told(reason, seconds_left(until, now), user, services, contact)


async def _told(
    reason: str, seconds: int, user: User | None, services: Services, contact: Contact
) -> NoReturn:
    """A refusal, recorded; the failure that locks, for so many seconds, is answered as those after it."""
    if seconds:
        reason = f"{reason}; {_LOCKING}"
        log.warning("user_locked", request_id=contact.request_id, address=contact.address, seconds=seconds)
    else:
        log.info("login_refused", request_id=contact.request_id, address=contact.address)
    status = LockedOut.status if seconds else LoginRefused.status
    await services.store.append(_record(reason, user, services, contact, status))
    raise LockedOut(seconds) if seconds else LoginRefused


async def _locked_out(seconds: int, user: User | None, services: Services, contact: Contact) -> NoReturn:
    """What was guessed is not looked at, and does not count."""
    log.info("login_refused", request_id=contact.request_id, address=contact.address, seconds=seconds)
    await services.store.append(_record(_LOCKED, user, services, contact, LockedOut.status))
    raise LockedOut(seconds)


def _record(
    reason: str | None, user: User | None, services: Services, contact: Contact, status: int | None = None
) -> Record:
    return Record(
        time=services.clock(),
        interaction="login",
        outcome="success" if reason is None else "refused",
        status=status or (200 if reason is None else LoginRefused.status),
        request_id=contact.request_id,
        address=contact.address,
        subject=None if user is None else user.id,
        user=None if user is None else user.fhir_user,
        reason=reason,
    )
