"""Codes of a second factor: https://www.rfc-editor.org/rfc/rfc6238"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.smart.keys import SecretMismatchError
from fhir_server.smart.second_factor import Enrolment, SecondFactors

FACTORS = SecondFactors(b"s" * 32)
NOW = datetime(2026, 11, 21, 8, 0, 15, tzinfo=UTC)
STEP = int(NOW.timestamp()) // 30


def enrolled() -> tuple[Enrolment, pyotp.TOTP]:
    """A second factor, and the app that reads it."""
    made = FACTORS.enrolled("user-1", name="ann", issuer="fhir.example")
    app = pyotp.parse_uri(made.uri)
    assert isinstance(app, pyotp.TOTP)
    return made, app


MADE, APP = enrolled()


def test_an_app_reads_the_address() -> None:
    parts = urlsplit(MADE.uri)
    told = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", "/fhir.example:ann")
    assert len(told["secret"][0]) == 32
    assert told["issuer"] == ["fhir.example"]
    assert (APP.digits, APP.interval) == (6, 30)
    assert told["secret"][0] not in MADE.sealed


@given(st.integers(-5, 5), st.integers(0, 29))
def test_a_code_holds_one_step_before_and_after_its_time(steps: int, second: int) -> None:
    shown = APP.at(NOW + timedelta(seconds=30 * steps + second - 15))
    found = FACTORS.step("user-1", MADE.sealed, shown, NOW)
    if abs(steps) <= 1:
        assert found == STEP + steps
    else:
        # One in a million is the code of a step nearby, too.
        assert found is None or APP.generate_otp(found) == shown


@pytest.mark.parametrize(
    "code",
    ["", "12345", "1234567", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666", "\ud800", "0x1234", "-12345"],
)
def test_what_is_no_code_is_none(code: str) -> None:
    assert FACTORS.step("user-1", MADE.sealed, code, NOW) is None


def test_a_code_may_be_typed_as_apps_show_it() -> None:
    code = APP.at(NOW)
    assert FACTORS.step("user-1", MADE.sealed, f" {code[:3]} {code[3:]} ", NOW) == STEP


def test_a_secret_opens_with_the_deployments_own_secret_alone() -> None:
    code = APP.at(NOW)
    with pytest.raises(SecretMismatchError, match="sealed by another secret"):
        SecondFactors(b"t" * 32).step("user-1", MADE.sealed, code, NOW)
    with pytest.raises(SecretMismatchError):
        FACTORS.step("user-1", MADE.sealed[:-2] + "AA", code, NOW)


def test_a_secret_that_was_put_to_another_user_does_not_open() -> None:
    with pytest.raises(SecretMismatchError, match="another user"):
        FACTORS.step("user-2", MADE.sealed, APP.at(NOW), NOW)
