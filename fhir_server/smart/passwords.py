"""
Passwords, hashed by Argon2id in one thread of each process, one after the other.

A hash is meant to be dear, and whoever sends many logins has us pay. So one core at most is spent on them,
by a thread that gives way to those that answer reads, and only few may wait for it: one more is refused at
once with TooMany. The interpreter is let go of while a hash is made. Who has no hash (a name that nobody
has) costs as much as who has one.

The parameters are OWASP's: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html,
https://www.rfc-editor.org/rfc/rfc9106
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from fhir_server.r4.errors import TooMany
from fhir_server.smart.users import PASSWORD_CHARACTERS_MAX

MEMORY_KIBIBYTES: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
HASH_BYTES: Final = 32
SALT_BYTES: Final = 16
WAITING_MAX: Final = 16
"""How many wait for the one that is hashed: less than a second, with 20 to 50 ms each."""

_NICENESS: Final = 10
"""A tenth of the share of a thread of normal priority, when both want the same core."""

_hasher: Final = PasswordHasher(PASSES, MEMORY_KIBIBYTES, LANES, HASH_BYTES, SALT_BYTES, type=Type.ID)

Made = TypeVar("Made")


class Passwords:
    """The hashing thread of a process; `close` ends it."""

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._thread = ThreadPoolExecutor(1, "passwords", initializer=_give_way)
        self._taken = 0
        self._taken_max = waiting_max + 1

    async def verified(self, hash: str | None, password: str) -> bool:
        """Is it the password of this hash? Of None none is, in the same time. Raises TooMany."""
        if len(password) > PASSWORD_CHARACTERS_MAX:
            # Nobody has such a one, and to find that out costs nothing: known name or not.
            return False
        text = _normal(password)
        if hash is None:
            await self._in_turn(lambda: _hasher.hash(text))
            return False
        return await self._in_turn(lambda: _is_of(hash, text))

    async def hashed(self, password: str) -> str:
        """The hash to keep. Raises TooMany."""
        assert len(password) <= PASSWORD_CHARACTERS_MAX, "users.new_password has looked at it"
        text = _normal(password)
        return await self._in_turn(lambda: _hasher.hash(text))

    def needs_rehash(self, hash: str) -> bool:
        """Was it made with other parameters than those of today?"""
        return _hasher.check_needs_rehash(hash)

    def close(self) -> None:
        """Those that wait are cancelled; returns when the one under way is done."""
        self._thread.shutdown(cancel_futures=True)

    def require_room(self) -> None:
        """Raises TooMany when no more may wait: to be asked before anything else is spent on a login."""
        if self._taken >= self._taken_max:
            raise TooMany("Too many people are logging in at this moment; try again")

    async def _in_turn(self, work: Callable[[], Made]) -> Made:
        self.require_room()
        self._taken += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        # Not when the caller goes away: a hash that has begun is finished, and takes its time.
        future.add_done_callback(self._given_back)
        return await future

    def _given_back(self, _done: asyncio.Future[Made]) -> None:
        self._taken -= 1


def _normal(password: str) -> bytes:
    """
    Equal for what looks equal, whichever keyboard it was typed on.

    What is no text (a lone surrogate) is nobody's password, but has to be hashed like any other guess.
    """
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _is_of(hash: str, password: bytes) -> bool:
    try:
        return _hasher.verify(hash, password)
    except VerifyMismatchError:
        return False


def _give_way() -> None:
    """On Linux a thread has a priority of its own. man 2 setpriority"""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
