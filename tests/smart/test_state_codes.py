"""Codes for app state, as a registration lists them [P1]."""

from __future__ import annotations

import pytest

from fhir_server.smart.state_codes import InvalidStateCode, StateCode, state_code, state_codes

A = "https://growth.example.org"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{A}|prefs", StateCode(A, "prefs", "write")),
        (f"read:{A}|prefs", StateCode(A, "prefs", "read")),
        (f"global:{A}|prefs", StateCode(A, "prefs", "global")),
        ("urn:uuid:1|x-2.0", StateCode("urn:uuid:1", "x-2.0", "write")),
    ],
)
def test_a_code_and_what_it_lets_do(text: str, code: StateCode) -> None:
    assert state_code(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prefs",
        "|prefs",
        f"{A}|",
        A,
        "growth|prefs",
        f"{A}|pre fs",
        f"{A}|pre|fs",
        f"write:{A} x|prefs",
        f"{A}|{'x' * 101}",
        f"{A}/{'x' * 200}|prefs",
        "http://terminology.hl7.org/CodeSystem/basic-resource-type|consent",
        "http://hl7.org/fhir/x|y",
        f"{A}|prefs\n",
    ],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(InvalidStateCode):
        state_code(text)


def test_codes_are_listed_once_and_are_not_many() -> None:
    with pytest.raises(InvalidStateCode):
        state_codes([f"{A}|a", f"global:{A}|a"])
    with pytest.raises(InvalidStateCode):
        state_codes([f"{A}|{number}" for number in range(51)])
    assert len(state_codes([f"{A}|{number}" for number in range(50)])) == 50
