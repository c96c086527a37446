"""A seal opens what was sealed, where it was meant to be opened, and nothing else."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from fhir_server.smart.keys import SigningKeys
from fhir_server.smart.seals import SEALED_CHARACTERS_MAX, Seals

KEYS = [ECKey.generate_key("P-256", {}, auto_kid=True) for _ in range(2)]


def seals(*which: int, purpose: str = "tests") -> Seals:
    """Of these keys, the first being current."""
    keys = [KEYS[n] for n in which]
    return Seals(SigningKeys({str(key.kid): key for key in keys}, str(keys[0].kid)), purpose)


OURS = seals(0)


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_what_is_sealed_is_opened(content: bytes, bound: bytes) -> None:
    text = OURS.sealed(content, bound)
    assert OURS.opened(text, bound) == content
    assert re.fullmatch("[A-Za-z0-9_-]+", text)
    assert len(text) <= SEALED_CHARACTERS_MAX
    assert seals(0).sealed(content, bound) == text, "another process seals alike"


@given(st.binary(max_size=40), st.data())
def test_a_changed_text_does_not_open(content: bytes, data: st.DataObject) -> None:
    text = OURS.sealed(content, b"x")
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from("AZaz09_-=!\u00e9").filter(lambda one: one != text[place]))
    assert OURS.opened(text[:place] + character + text[place + 1 :], b"x") is None
    assert OURS.opened(text + character, b"x") is None
    assert OURS.opened(text[:place], b"x") is None


@given(st.text(max_size=60))
def test_nothing_else_opens(text: str) -> None:
    assert OURS.opened(text, b"") is None


def test_it_opens_for_what_it_was_bound_to_alone() -> None:
    text = OURS.sealed(b"content", b"here")
    assert OURS.opened(text, b"there") is None
    assert seals(0, purpose="others").opened(text, b"here") is None
    assert seals(1).opened(text, b"here") is None


def test_it_outlives_a_change_of_keys() -> None:
    text = OURS.sealed(b"content", b"here")
    assert seals(1, 0).opened(text, b"here") == b"content"
    assert seals(1, 0).sealed(b"content", b"here") == seals(1).sealed(b"content", b"here")


def test_what_is_sealed_cannot_be_read() -> None:
    assert b"1970" not in OURS.sealed(b"1970", b"").encode()
