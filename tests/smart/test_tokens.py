"""https://www.rfc-editor.org/rfc/rfc9068, https://www.rfc-editor.org/rfc/rfc8725"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from fhir_server.r4.errors import Unauthenticated
from fhir_server.smart.keys import (
    LOOKED_SECONDS,
    Keyring,
    SecretMismatchError,
    SigningKeys,
    TooManyKeysError,
    load_or_create,
    rotate,
)
from fhir_server.smart.seals import Seals
from fhir_server.smart.secret import wrapping_secret
from fhir_server.smart.tokens import Grant, Tokens, UnknownKey

BASE = "https://fhir.example/fhir"
NOW = 1_800_000_000
SECRET = bytes(range(32))
TYPES = frozenset({"Patient", "Observation"})


class StateInMemory:
    """One document store for a test."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def get(self, kind: str, id: str) -> Mapping[str, Any] | None:
        return self.documents.get((kind, id))

    async def insert(self, kind: str, id: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.documents.setdefault((kind, id), value)

    async def replace(self, kind: str, id: str, known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
        if self.documents.get((kind, id)) != known:
            return False
        self.documents[kind, id] = value
        return True


@pytest.fixture
async def keys() -> SigningKeys:
    return await load_or_create(StateInMemory(), SECRET, datetime.fromtimestamp(NOW, UTC))


@pytest.fixture
def tokens(keys: SigningKeys) -> Tokens:
    return Tokens(keys, BASE, TYPES)


def a_grant(scope: str = "patient/*.rs", **stated: Any) -> Grant:
    return Grant(**{"client": "app", "scope": scope, "lifetime_seconds": 60, "patient": "1", **stated})


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


def test_a_token_names_its_bearer(tokens: Tokens) -> None:
    token = tokens.issue(a_grant(user="Practitioner/7", purpose="ETREAT"), now=NOW, token_id="j1")
    caller = tokens.verify(token, now=NOW)
    assert (caller.client, caller.user, caller.patient) == ("app", "Practitioner/7", "1")
    assert (caller.purpose, caller.token_id, caller.expires) == ("ETREAT", "j1", NOW + 60)


@pytest.mark.parametrize(("scope", "purpose"), [("patient/*.rs", "TREAT"), ("system/*.rs", "HOPERAT")])
def test_a_token_without_a_purpose_counts_by_its_context(tokens: Tokens, scope: str, purpose: str) -> None:
    token = tokens.issue(a_grant(scope), now=NOW, token_id="j1")
    assert tokens.verify(token, now=NOW).purpose == purpose


def test_a_token_expires_even_when_it_is_remembered(tokens: Tokens) -> None:
    token = tokens.issue(a_grant(), now=NOW, token_id="j1")
    tokens.verify(token, now=NOW + 59)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.verify(token, now=NOW + 60)


@pytest.mark.parametrize(
    "stated",
    [{"scope": "nonsense"}, {"patient": None}, {"lifetime_seconds": 0}, {"lifetime_seconds": 10**9},
     {"scope": "user/*.rs"}],
)  # fmt: skip
def test_a_grant_that_says_too_little_is_refused(tokens: Tokens, stated: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        tokens.issue(a_grant(**stated), now=NOW, token_id="j1")


def test_a_changed_token_does_not_hold(tokens: Tokens) -> None:
    token = tokens.issue(a_grant(), now=NOW, token_id="j1")
    header, payload, signature = token.split(".")
    claims = {**claims_of(token), "scope": "system/*.cruds"}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for bad in (f"{header}.{forged}.{signature}", f"{header}.{payload}.", f"{header}.{payload}", "", "a.b.c"):
        with pytest.raises(Unauthenticated):
            tokens.verify(bad, now=NOW)


def a_header(keys: SigningKeys) -> dict[str, Any]:
    return {"alg": "ES256", "kid": keys.current_id, "typ": "at+jwt"}


def test_another_algorithm_or_key_does_not_hold(tokens: Tokens, keys: SigningKeys) -> None:
    claims = claims_of(tokens.issue(a_grant(), now=NOW, token_id="j1"))
    foreign = ECKey.generate_key("P-256")
    public = OctKey.import_key(json.dumps(keys.current.as_dict(private=False)))
    none = {"alg": "none", "kid": keys.current_id}
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (none, claims)
    )
    forged = [
        jwt.encode(a_header(keys), claims, foreign),
        jwt.encode({"alg": "ES256", "kid": "another"}, claims, foreign),
        jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, keys.current),
        jwt.encode({**a_header(keys), "typ": "JWT"}, claims, keys.current),
        jwt.encode({"alg": "HS256", "kid": keys.current_id}, claims, public, algorithms=["HS256"]),
        jwt.encode({"alg": "ES256", "jwk": foreign.as_dict(private=False)}, claims, foreign),
        f"{unsigned}.",
    ]
    for token in forged:
        with pytest.raises(Unauthenticated):
            tokens.verify(token, now=NOW)


@pytest.mark.parametrize(
    "change", [{"aud": BASE + ".evil"}, {"iss": "https://other"}, {"iat": NOW + 3600}, {"exp": "x"}]
)
def test_a_token_for_another_place_or_time_does_not_hold(
    tokens: Tokens, keys: SigningKeys, change: dict[str, Any]
) -> None:
    claims = {**claims_of(tokens.issue(a_grant(), now=NOW, token_id="j1")), **change}
    token = jwt.encode(a_header(keys), claims, keys.current)
    with pytest.raises(Unauthenticated):
        tokens.verify(token, now=NOW)


async def test_all_processes_find_the_same_keys() -> None:
    state, now = StateInMemory(), datetime.fromtimestamp(NOW, UTC)
    first, second = await load_or_create(state, SECRET, now), await load_or_create(state, SECRET, now)
    assert first.current_id == second.current_id


async def test_keys_do_not_open_with_another_secret() -> None:
    state, now = StateInMemory(), datetime.fromtimestamp(NOW, UTC)
    await load_or_create(state, SECRET, now)
    with pytest.raises(SecretMismatchError, match="another secret"):
        await load_or_create(state, bytes(32), now)


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    assert wrapping_secret(tmp_path, None) == wrapping_secret(tmp_path, None)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SecretMismatchError):
        wrapping_secret(tmp_path, "abc")


KEPT = timedelta(days=30)


def at(days: float) -> datetime:
    return datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_tokens_of_a_rotated_key_hold_until_the_key_is_forgotten() -> None:
    state = StateInMemory()
    before = await load_or_create(state, SECRET, at(0))
    token = Tokens(before, BASE, TYPES).issue(a_grant(), now=NOW, token_id="j")
    kid = await rotate(state, SECRET, at(1), kept=KEPT)
    after = await load_or_create(state, SECRET, at(1))
    assert after.current_id == kid != before.current_id
    assert Tokens(after, BASE, TYPES).verify(token, now=NOW).client == "app"
    await rotate(state, SECRET, at(30), kept=KEPT)
    assert (await load_or_create(state, SECRET, at(30))).find(before.current_id) is not None
    await rotate(state, SECRET, at(32), kept=KEPT)
    forgotten = await load_or_create(state, SECRET, at(32))
    assert forgotten.find(before.current_id) is None
    with pytest.raises(UnknownKey):
        Tokens(forgotten, BASE, TYPES).verify(token, now=NOW)


async def test_keys_are_not_rotated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    state, few = StateInMemory(), 4
    # Each key takes a moment to make, and the rule is that of any number.
    monkeypatch.setattr("fhir_server.smart.keys.KEYS_MAX", few)
    for number in range(few - 1):
        await rotate(state, SECRET, at(number / 100), kept=KEPT)
    with pytest.raises(TooManyKeysError):
        await rotate(state, SECRET, at(few / 100), kept=KEPT)


async def test_rotating_takes_the_secret() -> None:
    state = StateInMemory()
    await load_or_create(state, SECRET, at(0))
    with pytest.raises(SecretMismatchError):
        await rotate(state, bytes(32), at(1), kept=KEPT)


async def test_a_process_takes_up_what_another_one_rotated() -> None:
    state, watch = StateInMemory(), Watch()
    keyring = Keyring(await load_or_create(state, SECRET, at(0)), state, SECRET, watch)
    seals = Seals(keyring.keys, "tests")
    sealed = seals.sealed(b"x", b"y")
    kid = await rotate(state, SECRET, at(1), kept=KEPT)
    assert not await keyring.renewed(), "it has looked a moment ago"
    watch.now += LOOKED_SECONDS
    assert await keyring.renewed()
    assert keyring.keys.current_id == kid
    assert seals.opened(sealed, b"y") == b"x"
    assert seals.sealed(b"x", b"y") != sealed
    watch.now += LOOKED_SECONDS
    assert not await keyring.renewed()
