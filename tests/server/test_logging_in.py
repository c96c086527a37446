"""
Logging in: a password, a code, lock-out and what is recorded.

https://pages.nist.gov/800-63-4/sp800-63b.html#throttle
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import pyotp
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from audit.record import Record
from fhir_server.pipeline.logging_in import LockedOut, LoginRefused, proven_by_code, proven_by_password
from fhir_server.pipeline.services import Services
from fhir_server.r4.errors import TooMany
from fhir_server.smart.caller import Contact
from fhir_server.smart.passwords import Passwords
from fhir_server.smart.users import User
from tests.databases import a_database
from tests.server.running import Server, serving

RIGHT = "correct horse battery"
WRONG = "wrong horse battery"
CONTACT = Contact("request-1", "192.0.2.7")
TESTS = itertools.count(1)


@dataclass(slots=True)
class Moving:
    """A clock that is told the time."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with (
        a_database(mongodb_url) as name,
        serving(mongodb_url, name, tmp_path_factory.mktemp("data")) as running,
    ):
        yield running


@pytest.fixture
def clock(server: Server) -> Moving:
    """Each test is long after the one before, so that its records are the last ones."""
    return Moving(server.services.clock().replace(microsecond=0) + timedelta(days=10 * next(TESTS)))


@pytest.fixture
def services(server: Server, clock: Moving) -> Services:
    return replace(server.services, clock=clock)


async def a_user(services: Services) -> User:
    """One with the right password, whom nobody else has."""
    hash, now = await services.passwords.hashed(RIGHT), services.clock()
    made = User(str(uuid4()), f"ann-{uuid4()}", hash, "Practitioner/7", now, now)
    assert await services.store.users.add(made)
    return made


async def guess(services: Services, name: str, password: str = WRONG) -> str:
    """How it was answered."""
    try:
        await proven_by_password(name, password, services, CONTACT)
    except (LoginRefused, LockedOut) as refused:
        return f"{refused.status} {refused}"
    return "200"


async def recorded(server: Server, count: int) -> Sequence[Record]:
    """The last ones."""
    return (await server.records())[-count:]


@asynccontextmanager
async def a_second_factor(services: Services, user: User) -> AsyncIterator[pyotp.TOTP]:
    made = services.second_factors.enrolled(user.id, name=user.name, issuer="fhir.example")
    assert await services.store.users.set_second_factor(user.id, made.sealed)
    app = pyotp.parse_uri(made.uri)
    assert isinstance(app, pyotp.TOTP)
    yield app


async def test_who_has_the_password_is_who_they_say_and_it_is_recorded(
    server: Server, services: Services
) -> None:
    ann = await a_user(services)
    assert await proven_by_password(f" {ann.name.upper()} ", RIGHT, services, CONTACT) == ann
    [record] = await recorded(server, 1)
    assert (record.interaction, record.outcome, record.status, record.reason) == (
        "login",
        "success",
        200,
        None,
    )
    assert (record.user, record.subject) == ("Practitioner/7", ann.id)
    assert (record.address, record.request_id) == ("192.0.2.7", "request-1")


async def test_why_it_was_refused_is_in_the_record_and_nowhere_else(
    server: Server, services: Services
) -> None:
    ann, off = await a_user(services), await a_user(services)
    await services.store.users.disable(off.id)
    with capture_logs() as logs:
        answers = {
            await guess(services, ann.name),
            await guess(services, f"nobody-{ann.name}"),
            await guess(services, off.name, RIGHT),
            await guess(services, off.name),
            await guess(services, ann.name, "x" * 5_000),
            await guess(services, "x" * 5_000),
            await guess(services, "\ud800", "\ud800"),
        }
    assert len(answers) == 1
    records = await recorded(server, 7)
    assert [(record.outcome, record.status) for record in records] == [("refused", 401)] * 7
    assert sorted(record.reason or "" for record in records) == sorted(
        [
            "wrong password",
            "unknown name",
            "right password of a user who is locked, disabled or changed meanwhile",
            "wrong password",
            "wrong password",
            "unknown name",
            "unknown name",
        ]
    )
    assert {record.subject for record in records} == {ann.id, off.id, None}
    assert [fact["event"] for fact in logs] == ["login_refused"] * 7
    assert ann.name not in f"{logs} {records}"
    assert RIGHT not in f"{logs} {records} {answers}"


@pytest.mark.parametrize("kind", ["known", "unknown", "disabled"])
async def test_names_lock_alike_whether_anybody_has_them(
    server: Server, services: Services, clock: Moving, kind: str
) -> None:
    name = f"nobody-{uuid4()}"
    if kind != "unknown":
        ann = await a_user(services)
        name = ann.name
    if kind == "disabled":
        await services.store.users.disable(ann.id)
    with capture_logs() as logs:
        answers = [await guess(services, name, RIGHT if kind == "disabled" else WRONG) for _ in range(6)]
    assert [answer[:3] for answer in answers] == ["401"] * 4 + ["429"] * 2
    assert answers[4] == answers[5] == "429 Too many failures in a row; try again in 60 seconds"
    assert [fact["event"] for fact in logs].count("user_locked") == 1
    clock.now += timedelta(seconds=30)
    assert "30 seconds" in await guess(services, name, RIGHT), "the right one is not looked at either"
    last = await recorded(server, 3)
    assert [record.status for record in last] == [429] * 3
    assert (last[0].reason or "").endswith("this failure locks")
    assert [record.reason for record in last[1:]] == ["locked after failures"] * 2
    clock.now += timedelta(seconds=30)
    assert "120 seconds" in await guess(services, name)
    clock.now += timedelta(days=1)
    assert (await guess(services, name))[:3] == "401", "a day later a new row begins"


async def test_the_right_password_ends_the_row_of_failures(services: Services, clock: Moving) -> None:
    ann = await a_user(services)
    for _ in range(3):
        answers = [await guess(services, ann.name) for _ in range(4)]
        assert [answer[:3] for answer in answers] == ["401"] * 4
        clock.now += timedelta(hours=2)
        assert await guess(services, ann.name, RIGHT) == "200"


async def test_of_many_guesses_at_once_none_is_let_in_after_the_one_that_locks(
    services: Services,
) -> None:
    """The right one was looked at before, and says so after: its answer is that of a wrong one."""
    ann, others_done = await a_user(services), asyncio.Event()

    class RightOnesAreLate(Passwords):
        async def verified(self, hash: str | None, password: str) -> bool:
            right = await super().verified(hash, password)
            if right:
                await others_done.wait()
            return right

    slow = replace(services, passwords=RightOnesAreLate())
    right = asyncio.create_task(guess(slow, ann.name, RIGHT))
    wrong = await asyncio.gather(*(guess(slow, ann.name) for _ in range(7)))
    others_done.set()
    answers = [*wrong, await right]
    slow.passwords.close()
    assert sorted(answer[:3] for answer in answers) == ["401"] * 4 + ["429"] * 4
    assert "480 seconds" in answers[-1]
    counted = await services.store.users.get(ann.id)
    assert counted is not None
    assert counted.failures == 8


async def test_with_a_second_factor_the_password_alone_logs_nobody_in(
    server: Server, services: Services, clock: Moving
) -> None:
    ann = await a_user(services)
    async with a_second_factor(services, ann) as app:
        before = len(await server.records())
        first = await proven_by_password(ann.name, RIGHT, services, CONTACT)
        assert first.totp is not None
        assert len(await server.records()) == before, "nobody is logged in yet"
        proven = await proven_by_code(first, app.at(clock.now), services, CONTACT)
        assert proven.id == ann.id
        [record] = await recorded(server, 1)
        assert (record.outcome, record.user, record.subject) == ("success", "Practitioner/7", ann.id)
        with pytest.raises(LoginRefused):
            await proven_by_code(first, app.at(clock.now), services, CONTACT)
        assert (await recorded(server, 1))[0].reason == "a code that was used before"


async def test_the_password_is_no_licence_to_guess_codes(services: Services, clock: Moving) -> None:
    ann = await a_user(services)
    async with a_second_factor(services, ann) as app:
        for _ in range(4):
            first = await proven_by_password(ann.name, RIGHT, services, CONTACT)
            with pytest.raises(LoginRefused):
                await proven_by_code(first, "no code", services, CONTACT)
        first = await proven_by_password(ann.name, RIGHT, services, CONTACT)
        with pytest.raises(LockedOut) as locked:
            await proven_by_code(first, "no code", services, CONTACT)
        assert locked.value.seconds == 60
        with pytest.raises(LockedOut):
            await proven_by_code(first, app.at(clock.now), services, CONTACT)
        assert (await guess(services, ann.name, RIGHT))[:3] == "429"


async def test_one_code_logs_in_once_of_many_at_once(services: Services, clock: Moving) -> None:
    ann = await a_user(services)
    async with a_second_factor(services, ann) as app:
        first = await proven_by_password(ann.name, RIGHT, services, CONTACT)
        code = app.at(clock.now)
        tries = (proven_by_code(first, code, services, CONTACT) for _ in range(4))
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(one, User) for one in done) == 1
        assert sum(isinstance(one, LoginRefused) for one in done) == 3


@pytest.mark.parametrize("change", ["removed", "disabled", "another password", "no second factor any more"])
async def test_what_was_proven_before_a_change_is_proven_no_more(
    server: Server, services: Services, clock: Moving, change: str
) -> None:
    ann, users = await a_user(services), services.store.users
    async with a_second_factor(services, ann) as app:
        first = await proven_by_password(ann.name, RIGHT, services, CONTACT)
        match change:
            case "removed":
                await users.remove(ann.id)
            case "disabled":
                await users.disable(ann.id)
            case "another password":
                hash, later = await services.passwords.hashed(WRONG), clock.now + timedelta(seconds=1)
                await users.set_password(ann.id, hash, later)
            case _:
                await users.set_second_factor(ann.id, None)
        with capture_logs() as logs, pytest.raises(LoginRefused):
            await proven_by_code(first, app.at(clock.now), services, CONTACT)
        assert [fact["event"] for fact in logs] == ["login_refused"]
        [record] = await recorded(server, 1)
        assert (record.outcome, record.status, record.subject) == ("refused", 401, ann.id)
        assert record.reason is not None


async def test_a_hash_by_older_parameters_is_made_anew(services: Services) -> None:
    ann = await a_user(services)
    older = PasswordHasher(1, 8_192, 1).hash(RIGHT)
    await services.store.users.set_password(ann.id, older, ann.password_changed)
    assert await guess(services, ann.name, RIGHT) == "200"
    renewed = await services.store.users.get(ann.id)
    assert renewed is not None
    assert not services.passwords.needs_rehash(renewed.password)
    assert await guess(services, ann.name, RIGHT) == "200"


async def test_what_changes_while_a_password_is_looked_at_counts(services: Services, clock: Moving) -> None:
    ann, users = await a_user(services), services.store.users

    class Changing(Passwords):
        """The operator is faster than the hash."""

        async def verified(self, hash: str | None, password: str) -> bool:
            await change
            return await super().verified(hash, password)

    slow = replace(services, passwords=Changing())
    change = users.set_second_factor(ann.id, "sealed")
    assert (await guess(slow, ann.name, RIGHT))[:3] == "401", "a second factor was asked for meanwhile"
    await users.set_second_factor(ann.id, None)
    change = users.set_password(
        ann.id, await services.passwords.hashed(WRONG), clock.now + timedelta(seconds=1)
    )
    assert (await guess(slow, ann.name, RIGHT))[:3] == "401", "it is the old password by now"
    slow.passwords.close()
    assert await guess(services, ann.name, WRONG) == "200"


async def test_a_code_is_taken_after_a_hash_that_was_made_anew(services: Services, clock: Moving) -> None:
    ann = await a_user(services)
    older = PasswordHasher(1, 8_192, 1).hash(RIGHT)
    await services.store.users.set_password(ann.id, older, clock.now)
    async with a_second_factor(services, ann) as app:
        first = await proven_by_password(ann.name, RIGHT, services, CONTACT)
        assert (await proven_by_code(first, app.at(clock.now), services, CONTACT)).id == ann.id


async def test_a_flood_of_logins_is_refused_without_a_trace_in_the_row(
    server: Server, services: Services
) -> None:
    ann = await a_user(services)
    narrow = replace(services, passwords=Passwords(waiting_max=0))
    done = await asyncio.gather(
        *(proven_by_password(ann.name, WRONG, narrow, CONTACT) for _ in range(10)), return_exceptions=True
    )
    narrow.passwords.close()
    refused = [one for one in done if isinstance(one, TooMany)]
    assert len(refused) >= 8
    counted = await services.store.users.get(ann.id)
    assert counted is not None
    assert counted.failures == 10 - len(refused)


async def test_names_are_nowhere_in_the_database_but_with_their_users(
    services: Services,
) -> None:
    typed = f"my password by mistake {uuid4()}"
    await guess(services, typed)
    database = services.store._database
    tickets = await database.tickets.find({}).to_list()
    assert any(one["_id"].startswith("login/") for one in tickets)
    assert typed not in str(tickets)
    assert all(one["at"] is not None for one in tickets), "they are forgotten"
