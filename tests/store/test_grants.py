"""Grants: of many who redeem or renew at once, one does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fhir_server.smart.grants import Granted, grant_id, hash_of_secret, presented, token_text
from fhir_server.store.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=100)


def a_grant(handle: str = "a-handle-of-sixteen", **told: object) -> Granted:
    made = Granted(
        id=grant_id(handle),
        client="growth",
        account="account-ann",
        user="Patient/ann",
        scope="launch/patient patient/*.rs",
        patient="ann",
        context={"need_patient_banner": True},
        redirect_uri="https://growth.example/",
        challenge="x" * 43,
        nonce=None,
        auth_time=NOW,
        session=None,
        made=NOW,
        code=hash_of_secret("a-code-of-sixteen-letters"),
        code_until=NOW + timedelta(seconds=60),
        redeemed=False,
        refresh=None,
        used=NOW,
        until=NOW + timedelta(seconds=60),
        revoked=False,
    )
    return replace(made, **told)  # type: ignore[arg-type]  # each is a member of it


async def test_a_grant_comes_back_as_it_went(store: Store) -> None:
    granted = a_grant(session="session/x", nonce="n")
    await store.grants.add(granted)
    assert await store.grants.get(granted.id) == granted
    assert await store.grants.get("another") is None


async def test_a_code_is_redeemed_by_one_of_twenty(store: Store) -> None:
    granted = a_grant()
    await store.grants.add(granted)
    done = await asyncio.gather(*(store.grants.redeem(granted, f"r{n}", NOW, LATER) for n in range(20)))
    assert done.count(True) == 1
    kept = await store.grants.get(granted.id)
    assert kept is not None
    assert kept.refresh == f"r{done.index(True)}"


async def test_a_refresh_token_is_renewed_by_one_of_twenty(store: Store) -> None:
    granted = a_grant(redeemed=True, refresh="first")
    await store.grants.add(granted)
    done = await asyncio.gather(*(store.grants.renew(granted, f"r{n}", NOW, LATER) for n in range(20)))
    assert done.count(True) == 1


async def test_nothing_of_a_revoked_grant_is_redeemed_or_renewed(store: Store) -> None:
    granted = a_grant(refresh="first")
    await store.grants.add(granted)
    assert await store.grants.revoke(granted.id)
    assert not await store.grants.revoke(granted.id)
    assert not await store.grants.redeem(granted, "r", NOW, LATER)
    assert not await store.grants.renew(granted, "r", NOW, LATER)
    assert await store.grants.of_account("account-ann", NOW, 10) == []


def test_a_tokens_text_says_which_grant_it_is_of_and_does_not_tell_the_handle() -> None:
    told = presented(token_text("a-handle-of-sixteen", "a-code-of-sixteen-letters"))
    assert told is not None
    assert (told.grant, told.secret) == (a_grant().id, a_grant().code)
    assert "a-handle" not in told.grant
    for text in (
        "",
        "x",
        "a.b",
        "a-handle-of-sixteen.",
        ".a-code-of-sixteen-letters",
        "ä" * 20 + "." + "b" * 20,
    ):
        assert presented(text) is None


async def test_what_a_client_was_given_is_revoked_and_nothing_else(store: Store) -> None:
    first, second = a_grant("first-of-two-handles"), a_grant("second-of-two-handles", redeemed=True)
    other = a_grant("of-another-client-here", client="portal")
    for one in (first, second, other):
        await store.grants.add(one)
    assert await store.grants.revoke_all_of_client("growth") == 2
    assert await store.grants.revoke_all_of_client("growth") == 0
    kept = [await store.grants.get(one.id) for one in (first, second, other)]
    assert [one.revoked for one in kept if one is not None] == [True, True, False]
