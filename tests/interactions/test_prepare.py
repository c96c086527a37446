"""A stored resource is the client's JSON: https://hl7.org/fhir/R4/json.html"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions.prepare import with_identity
from fhir_server.r4.errors import Invalid
from fhir_server.r4.resource import from_text

NUMBERS = st.sampled_from(
    [
        "1.50",
        "0.1e-7",
        "1E5",
        "-0",
        "-0.0",
        "123456789012345678901234567890",
        "1.00",
        "7",
        "0",
        "1e400",
        "2.5E+3",
    ]
)
TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=10)


def text_of(parts: tuple[bytes, bytes, bytes]) -> bytes:
    return b"".join((parts[0], b"3", parts[1], b"2026-01-01T00:00:00.000Z", parts[2]))


@given(
    st.lists(st.tuples(st.text("abcdefgh", min_size=1, max_size=3), NUMBERS), unique_by=lambda pair: pair[0])
)
def test_each_number_keeps_its_literal(pairs: list[tuple[str, str]]) -> None:
    body = "{" + ",".join(['"resourceType":"Basic"', *(f'"{name}":{number}' for name, number in pairs)]) + "}"
    stored = text_of(with_identity(from_text(body.encode()), "1")).decode()
    for name, number in pairs:
        assert f'"{name}":{number}' in stored


@given(st.permutations(["resourceType", "id", "meta", "_birthDate", "name"]), TEXTS)
def test_members_keep_their_order_and_values(order: list[str], text: str) -> None:
    values: dict[str, Any] = {
        "resourceType": "Patient",
        "id": "client",
        "meta": {"source": text, "versionId": "99", "tag": [{"code": "x"}]},
        "_birthDate": {"extension": []},
        "name": [{"family": text}],
    }
    sent = {name: values[name] for name in order}
    stored = json.loads(text_of(with_identity(from_text(json.dumps(sent).encode()), "mine")))
    assert list(stored) == order
    assert stored["id"] == "mine"
    expected = {
        "source": text,
        "tag": [{"code": "x"}],
        "versionId": "3",
        "lastUpdated": "2026-01-01T00:00:00.000Z",
    }
    assert stored["meta"] == expected
    assert stored["name"] == sent["name"]


@given(st.booleans(), st.booleans())
def test_identity_is_put_in_where_it_is_missing(has_id: bool, has_meta: bool) -> None:
    sent = {"resourceType": "Basic", "code": {}} | ({"id": "x"} if has_id else {})
    sent |= {"meta": {}} if has_meta else {}
    stored = json.loads(text_of(with_identity(sent, "mine")))
    assert (stored["id"], stored["meta"]["versionId"], stored["code"]) == ("mine", "3", {})


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\u001f"}',
        b'{"a":"\x01"}',
        b'{"a":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":1e2000000000}',
        b'{"a":1e-401}',
        b'{"a":' + b"1" * 129 + b"}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"[" * 100_000,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[]",
        b'"text"',
        b"",
        b"{",
        b'{"a":1} x',
        b"\xff\xfe{}",
    ],
)  # fmt: skip
def test_json_that_fhir_does_not_want_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        from_text(text)


@pytest.mark.parametrize("text", [b'{"a":"\\\\u0000"}', b'{"a":"\\ud83d\\ude00"}', b'{"a":"\\n\\t\\r"}'])
def test_what_only_looks_like_it_is_taken(text: bytes) -> None:
    assert from_text(text)
