"""Users are kept, and failures and codes are counted right however many arrive at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.smart.lock_out import FORGOTTEN, locked_seconds
from fhir_server.smart.users import User
from fhir_server.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.versions import MORNING

ANN = User("id-ann", "ann", "hash-1", "Practitioner/7", MORNING, MORNING)


async def test_a_user_is_found_by_id_and_by_name(store: Store) -> None:
    users = store.users
    assert await users.add(ANN)
    assert await users.get("id-ann") == ANN == await users.named("ann")
    assert await users.get("ann") is None
    assert await users.named("id-ann") is None
    ben = replace(ANN, id="id-ben", name="aaron", fhir_user=None)
    assert await users.add(ben)
    assert await users.all() == [ben, ANN]
    assert await users.remove("id-ben")
    assert not await users.remove("id-ben")
    assert await users.all() == [ANN]


async def test_a_name_is_taken_once_of_many_who_want_it_at_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    wanting = (stores[n % 2].users.add(replace(ANN, id=f"id-{n}")) for n in range(10))
    assert sum(await asyncio.gather(*wanting)) == 1
    assert not await stores[0].users.add(replace(ANN, name="other", id=(await stores[0].users.all())[0].id))


async def test_each_change_is_kept_and_says_whether_there_was_somebody(store: Store) -> None:
    users, later = store.users, MORNING + timedelta(hours=1)
    await users.add(ANN)
    assert await users.set_second_factor("id-ann", "sealed")
    assert await users.set_fhir_user("id-ann", None)
    assert await users.disable("id-ann")
    assert await users.set_password("id-ann", "hash-2", later)
    changed = await users.get("id-ann")
    assert changed == replace(
        ANN, totp="sealed", fhir_user=None, disabled=True, password="hash-2", password_changed=later
    )
    assert await users.enable("id-ann")
    assert await users.rehashed("id-ann", "hash-2", "hash-3")
    assert not await users.rehashed("id-ann", "hash-2", "hash-4"), "it is another one by now"
    changed = await users.get("id-ann")
    assert changed is not None
    assert (changed.disabled, changed.password, changed.password_changed) == (False, "hash-3", later)
    for done in (
        users.set_second_factor("nobody", None),
        users.set_fhir_user("nobody", None),
        users.disable("nobody"),
        users.enable("nobody"),
        users.unlock("nobody"),
        users.set_password("nobody", "hash", later),
        users.succeeded(replace(ANN, id="nobody"), later),
        users.may_log_in(replace(ANN, id="nobody"), later),
        users.use_code("nobody", 1),
    ):
        assert not await done
    assert await users.failed("nobody", later) is None


async def test_failures_at_once_in_two_processes_are_all_counted(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    await stores[0].users.add(ANN)
    counted = await asyncio.gather(*(stores[n % 2].users.failed("id-ann", MORNING) for n in range(20)))
    assert sorted(one.failures for one in counted if one is not None) == list(range(1, 21))
    hidden = await asyncio.gather(*(stores[n % 2].users.unknown_failed("h", MORNING) for n in range(20)))
    assert sorted(until for until in hidden if until is not None) == sorted(
        one.locked_until for one in counted if one is not None and one.locked_until is not None
    )
    assert len(hidden) - hidden.count(None) == 16


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([1, 59, 61, 3_600, 86_399, 86_400, 100_000]) | st.integers(0, 200_000), max_size=14
    )
)
async def test_the_database_counts_as_plain_python_does(store: Store, pauses: list[int]) -> None:
    users, now, failures = store.users, MORNING, 0
    await users.remove("id-ann")
    await users.add(ANN)
    await store._database.tickets.delete_many({})
    until = None
    for number, pause in enumerate(pauses):
        now += timedelta(seconds=pause)
        failures = 1 if number == 0 or timedelta(seconds=pause) >= FORGOTTEN else failures + 1
        if seconds := locked_seconds(failures):
            lock = now + timedelta(seconds=seconds)
            until = lock if until is None else max(until, lock)
        counted = await users.failed("id-ann", now)
        assert counted is not None
        assert (counted.failures, counted.locked_until) == (failures, until)
        assert await users.unknown_failed("hash", now) == until, "a name that nobody has is locked alike"
        assert await users.unknown_locked_until("hash") == until
        assert await users.may_log_in(ANN, now) == (until is None or until <= now)


async def test_a_right_guess_counts_unless_locked_or_disabled(store: Store) -> None:
    users = store.users
    await users.add(ANN)
    for _ in range(4):
        await users.failed("id-ann", MORNING)
    assert await users.succeeded(ANN, MORNING)
    assert await users.get("id-ann") == ANN, "the row of failures is over"
    for _ in range(5):
        await users.failed("id-ann", MORNING)
    assert not await users.succeeded(ANN, MORNING + timedelta(seconds=59))
    assert await users.succeeded(ANN, MORNING + timedelta(seconds=60))
    await users.disable("id-ann")
    assert not await users.succeeded(ANN, MORNING + timedelta(days=1))
    assert not await users.may_log_in(ANN, MORNING + timedelta(days=1))


async def test_a_guess_counts_for_what_was_looked_at_alone(store: Store) -> None:
    users = store.users
    await users.add(ANN)
    assert await users.rehashed("id-ann", "hash-1", "hash-2")
    assert await users.may_log_in(ANN, MORNING), "it is the same password"
    await users.set_second_factor("id-ann", "sealed")
    assert not await users.may_log_in(ANN, MORNING)
    assert await users.succeeded(replace(ANN, totp="sealed"), MORNING)
    await users.set_password("id-ann", "hash-3", MORNING + timedelta(seconds=1))
    assert not await users.succeeded(replace(ANN, totp="sealed"), MORNING)


async def test_who_is_unlocked_or_gets_a_new_password_may_log_in_at_once(store: Store) -> None:
    users = store.users
    await users.add(ANN)
    for change in (users.unlock("id-ann"), users.set_password("id-ann", "hash", MORNING)):
        for _ in range(7):
            await users.failed("id-ann", MORNING)
        assert not await users.may_log_in(ANN, MORNING)
        assert await change
        assert await users.may_log_in(ANN, MORNING)


async def test_of_twenty_at_once_one_uses_a_code_and_none_an_older_one(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    await stores[0].users.add(ANN)
    used = await asyncio.gather(*(stores[n % 2].users.use_code("id-ann", 1_000) for n in range(20)))
    assert sum(used) == 1
    users = stores[0].users
    assert not await users.use_code("id-ann", 999)
    assert await users.use_code("id-ann", 1_001)
    assert await users.set_second_factor("id-ann", "another")
    assert await users.use_code("id-ann", 5), "a new secret has codes of its own"
