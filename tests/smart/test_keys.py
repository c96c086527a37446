"""The keys of id_tokens beside those of access tokens: https://www.rfc-editor.org/rfc/rfc7517"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwe
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from fhir_server.smart.keys import LOOKED_SECONDS, RSA_BITS, Keyring, load_or_create, public_jwks, rotate
from tests.smart.test_tokens import NOW, SECRET, StateInMemory, Watch

KEPT = timedelta(days=30)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def at(days: float) -> datetime:
    return datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)


def kids_of(jwks: Mapping[str, Any], alg: str) -> list[str]:
    return [key["kid"] for key in jwks["keys"] if key["alg"] == alg]


def a_document_of_before(secret: bytes = SECRET) -> dict[str, Any]:
    """As it was written before there were id_tokens: EC keys alone, one of them retired."""
    keys = [ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True) for _ in range(2)]
    content = {
        "current": keys[0].kid,
        "keys": [key.as_dict(private=True) for key in keys],
        "retired": {keys[1].kid: at(-1).isoformat()},
    }
    header = {"alg": "dir", "enc": "A256GCM"}
    wrapped = jwe.encrypt_compact(header, json.dumps(content).encode(), OctKey.import_key(secret))
    return {"wrapped": wrapped, "made": at(-2)}


async def test_a_new_deployment_has_an_rsa_key_beside_its_ec_key() -> None:
    """[O1]"""
    keys = await load_or_create(StateInMemory(), SECRET, at(0))
    told = public_jwks(keys)
    assert kids_of(told, "ES256") == [keys.current_id]
    assert kids_of(told, "RS256") == [keys.of_id_tokens.kid]
    assert keys.of_id_tokens.public_key.key_size == RSA_BITS >= 2_048


async def test_what_is_published_is_public_and_bare() -> None:
    """[O1]"""
    state = StateInMemory()
    for day in range(3):
        await rotate(state, SECRET, at(day), kept=KEPT)
    told = public_jwks(await load_or_create(state, SECRET, at(3)))
    assert len(told["keys"]) == 8
    for key in told["keys"]:
        assert key.keys() >= {"kty", "kid", "use", "alg"}
        assert key.keys().isdisjoint(PRIVATE | {"x5c", "x5t", "x5u"})
        assert key["use"] == "sig"
    assert len(KeySet.import_key_set(json.loads(json.dumps(told))).keys) == 8


async def test_a_deployment_of_before_gets_an_rsa_key_and_keeps_the_others() -> None:
    state = StateInMemory()
    state.documents["signing-keys", "current"] = a_document_of_before()
    first = await load_or_create(state, SECRET, at(0))
    again = await load_or_create(state, SECRET, at(1))
    assert first.of_id_tokens.kid == again.of_id_tokens.kid
    told = public_jwks(again)
    assert (len(kids_of(told, "ES256")), len(kids_of(told, "RS256"))) == (2, 1)
    await rotate(state, SECRET, at(2), kept=KEPT)
    assert len(kids_of(public_jwks(await load_or_create(state, SECRET, at(2))), "RS256")) == 2


async def test_processes_that_start_at_once_agree_on_the_rsa_key() -> None:
    state = StateInMemory()
    state.documents["signing-keys", "current"] = a_document_of_before()
    found = await asyncio.gather(*(load_or_create(state, SECRET, at(0)) for _ in range(4)))
    assert len({keys.of_id_tokens.kid for keys in found}) == 1


async def test_a_process_that_runs_takes_up_the_rsa_key_of_another() -> None:
    state, watch = StateInMemory(), Watch()
    keyring = Keyring(await load_or_create(state, SECRET, at(0)), state, SECRET, watch)
    before = keyring.keys.of_id_tokens
    await rotate(state, SECRET, at(1), kept=KEPT)
    watch.now += LOOKED_SECONDS
    assert await keyring.renewed()
    assert keyring.keys.of_id_tokens.kid != before.kid
    assert before.kid in kids_of(public_jwks(keyring.keys), "RS256")
    watch.now += LOOKED_SECONDS
    assert not await keyring.renewed()


async def test_an_rsa_key_that_signs_no_more_is_kept_as_a_public_key_and_then_forgotten() -> None:
    state = StateInMemory()
    before = (await load_or_create(state, SECRET, at(0))).of_id_tokens
    await rotate(state, SECRET, at(1), kept=KEPT)
    [kept] = [key for key in (await load_or_create(state, SECRET, at(1))).all if key.kid == before.kid]
    assert isinstance(kept, RSAKey)
    assert not kept.is_private
    await rotate(state, SECRET, at(40), kept=KEPT)
    await rotate(state, SECRET, at(41), kept=KEPT)
    told = public_jwks(await load_or_create(state, SECRET, at(41)))
    assert before.kid not in kids_of(told, "RS256")
