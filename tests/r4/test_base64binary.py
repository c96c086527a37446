"""base64Binary, a piece at a time: the same as all at once."""

from __future__ import annotations

import base64
import binascii
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4 import base64binary
from fhir_server.r4.base64binary import compact, decoded, encoded, is_base64, length


@pytest.fixture(autouse=True, scope="module")
def _small_pieces() -> object:
    with patch.object(base64binary, "AT_ONCE", 6), patch.object(base64binary, "_CHARACTERS_AT_ONCE", 8):
        yield


@given(st.binary(max_size=40))
def test_what_is_encoded_is_decoded(content: bytes) -> None:
    text = encoded(content)
    assert text == base64.b64encode(content).decode()
    assert is_base64(text) == (content != b"")
    assert length(text.encode()) == len(content)
    assert decoded(text.encode(), 0, len(content)) == content


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_part_can_be_decoded_alone(content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    assert decoded(encoded(content).encode(), start, end) == content[start:end]


@given(st.text(alphabet="AQg+/=w \n", max_size=30))
def test_what_is_base64_is_what_is_base64_as_a_whole(text: str) -> None:
    plain = "".join(text.split())
    try:
        binascii.a2b_base64(plain, strict_mode=True)
    except binascii.Error:
        whole = False
    else:
        whole = plain != "" and len(plain) % 4 == 0
    assert is_base64(text) == whole
    assert compact(text.encode()) == plain.encode()


@pytest.mark.parametrize("text", ["", " ", "A", "AAAA=", "AA==AA==", "AA==AAAA", "é", "AAA\x0b", "A*AA"])
def test_these_are_not(text: str) -> None:
    assert not is_base64(text)
