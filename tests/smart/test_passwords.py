"""Passwords are hashed one after the other, and few wait: https://www.rfc-editor.org/rfc/rfc9106"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher, extract_parameters

from fhir_server.r4.errors import TooMany
from fhir_server.smart import passwords as hashing
from fhir_server.smart.passwords import Passwords

RIGHT = "correct horse battery"


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(waiting_max=4)
    yield made
    made.close()


async def test_a_password_is_known_again_and_no_other(passwords: Passwords) -> None:
    hash = await passwords.hashed(RIGHT)
    assert await passwords.verified(hash, RIGHT)
    for wrong in ("correct horse batterz", "", "x" * 200, "\ud800", "\0", "Correct horse battery"):
        assert not await passwords.verified(hash, wrong)
    assert not await passwords.verified(None, RIGHT)
    assert hash != await passwords.hashed(RIGHT), "each has a salt of its own"


async def test_keyboards_that_write_the_same_letter_differently_are_one(passwords: Passwords) -> None:
    hash = await passwords.hashed("zo\u00eb likes long words")
    assert await passwords.verified(hash, "zoe\u0308 likes long words")


async def test_the_parameters_are_owasps_at_least(passwords: Passwords) -> None:
    """https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""
    told = extract_parameters(await passwords.hashed(RIGHT))
    assert told.type.name == "ID"
    assert told.memory_cost >= 19 * 1024
    assert told.time_cost >= 2
    assert told.parallelism == 1
    assert (told.salt_len, told.hash_len) == (16, 32)


async def test_a_hash_by_other_parameters_is_to_be_made_anew(passwords: Passwords) -> None:
    assert not passwords.needs_rehash(await passwords.hashed(RIGHT))
    older = PasswordHasher(1, 8_192, 1).hash(RIGHT)
    assert passwords.needs_rehash(older)
    assert await passwords.verified(older, RIGHT)


async def test_one_more_than_may_wait_is_refused_at_once(passwords: Passwords) -> None:
    hash = await passwords.hashed(RIGHT)
    guesses = [asyncio.create_task(passwords.verified(hash, RIGHT)) for _ in range(9)]
    done = await asyncio.gather(*guesses, return_exceptions=True)
    assert done[:5] == [True] * 5
    assert [type(one) for one in done[5:]] == [TooMany] * 4
    refused = done[-1]
    assert isinstance(refused, TooMany)
    assert (refused.status, refused.retry_after_seconds) == (429, 1)
    assert await passwords.verified(hash, RIGHT), "there is room again"


async def test_one_who_goes_away_makes_room(passwords: Passwords) -> None:
    guesses = [asyncio.create_task(passwords.verified(None, RIGHT)) for _ in range(5)]
    await asyncio.sleep(0)
    for guess in guesses:
        guess.cancel()
    await asyncio.wait(guesses)
    assert not await passwords.verified(None, RIGHT)


async def test_what_nobody_can_have_costs_nothing(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash = await passwords.hashed(RIGHT)
    monkeypatch.setattr(passwords, "_thread", None)
    assert not await passwords.verified(hash, "x" * 201)
    assert not await passwords.verified(None, "x" * 10_000_000)
    monkeypatch.undo()


async def test_a_name_that_nobody_has_takes_as_long(passwords: Passwords) -> None:
    hash = await passwords.hashed(RIGHT)

    async def seconds(known: str | None) -> float:
        taken = []
        for _ in range(9):
            # Processor time: other people's work on this machine is no difference between names.
            before = time.process_time()
            await passwords.verified(known, "a wrong password")
            taken.append(time.process_time() - before)
        return statistics.median(taken)

    assert 0.5 < await seconds(hash) / await seconds(None) < 2


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own elsewhere")
async def test_the_hashing_thread_gives_way(passwords: Passwords) -> None:
    await passwords.hashed(RIGHT)
    [thread] = [one for one in threading.enumerate() if one.name.startswith("passwords")]
    assert thread.native_id is not None
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == min(19, mine + hashing._NICENESS)
