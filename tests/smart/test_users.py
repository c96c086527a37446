"""Names, passwords and references of users: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.smart.lock_out import HiddenNames, locked_seconds, seconds_left
from fhir_server.smart.users import (
    NAME_CHARACTERS_MAX,
    InvalidUser,
    User,
    login_name,
    new_fhir_user,
    new_name,
    new_password,
)

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Ann", "ann"),
        ("  ann.lee@ward-3 ", "ann.lee@ward-3"),
        ("ANN LEE", "ann lee"),
        ("Stra\u00dfe", "strasse"),
        ("\uff21nn", "ann"),
        ("Zoe\u0308", "zo\u00eb"),
        ("\ufb01nn", "finn"),
        ("", ""),
        ("a\u200bnn", ""),
        ("ann\n lee", ""),
        ("a" * 101, ""),
        ("\ufdfa" * 90, ""),
        ("\ud800", ""),
    ],
)
def test_a_name_is_what_unicode_takes_it_for_without_regard_to_case(typed: str, meant: str) -> None:
    assert login_name(typed) == meant


@given(st.text(max_size=NAME_CHARACTERS_MAX + 5))
def test_a_name_stays_the_same_when_it_is_typed_as_it_is_kept(typed: str) -> None:
    name = login_name(typed)
    assert login_name(name) == name
    assert len(name) <= NAME_CHARACTERS_MAX
    assert name == name.strip()
    assert name.isprintable()


@pytest.mark.parametrize("typed", ["", " ", "a" * 101, "a\tb", "\u202eann"])
def test_what_can_be_no_name_is_refused(typed: str) -> None:
    with pytest.raises(InvalidUser, match="1 to 100 printable characters"):
        new_name(typed)


@pytest.mark.parametrize(
    "told",
    [
        "correct horse battery",
        "twelve chars",
        "only letters please",
        "\u4eca\u65e5\u306f\u3068\u3066\u3082\u3044\u3044\u5929\u6c17\u3067\u3059",
        "a" * 190 + "bcdefghijk",
    ],
    ids=["words", "spaces", "letters", "japanese", "longest"],
)
def test_length_makes_a_password_and_no_kind_of_character_is_asked_for(told: str) -> None:
    assert new_password(told, "ann") == told


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("elevenchars", "at least 12"),
        ("", "at least 12"),
        ("x" * 201, "at most 200"),
        ("aaaaaaaaaaaaaaaa", "different characters"),
        ("121212121212", "different characters"),
        ("Password1234", "guessed first"),
        ("\uff30assword1234", "guessed first"),
        ("Ann.Lee@ward-3", "is the name"),
        ("correct horse\ud800", "not text"),
    ],
)
def test_a_password_that_would_be_guessed_is_refused_and_not_quoted(told: str, why: str) -> None:
    with pytest.raises(InvalidUser, match=why) as refused:
        new_password(told, "ann.lee@ward-3")
    assert not told or told not in str(refused.value)


@pytest.mark.parametrize(
    "told", ["Patient/1", "Practitioner/7", "PractitionerRole/a.b-c", "RelatedPerson/2", "Person/4"]
)
def test_a_user_is_one_of_the_people_of_fhir(told: str) -> None:
    """[O1, R209] https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"""
    assert new_fhir_user(told) == told


@pytest.mark.parametrize(
    "told",
    [
        "",
        "Patient",
        "Patient/",
        "Group/1",
        "patient/1",
        "Patient/1/_history/2",
        "http://x/Patient/1",
        "Patient/1\n",
    ],
)
def test_nothing_else_can_be_a_user(told: str) -> None:
    """[O2, R197]"""
    with pytest.raises(InvalidUser):
        new_fhir_user(told)


def test_what_proves_a_user_is_not_shown_with_it() -> None:
    shown = repr(User("1", "ann", "the-hash", "Patient/1", NOW, NOW, totp="the-secret"))
    assert "the-hash" not in shown
    assert "the-secret" not in shown


def test_locks_begin_at_the_fifth_failure_and_double_up_to_an_hour() -> None:
    assert [locked_seconds(n) for n in range(1, 13)] == [
        0, 0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600,
    ]  # fmt: skip
    assert locked_seconds(10**9) == 3600


@given(st.integers(-10_000, 10_000_000))
def test_a_lock_that_is_not_over_has_a_second_left(milliseconds: int) -> None:
    left = seconds_left(NOW + timedelta(milliseconds=milliseconds), NOW)
    assert (left > 0) == (milliseconds > 0)
    assert milliseconds <= 0 or 0 <= left * 1000 - milliseconds < 1000
    assert seconds_left(None, NOW) == 0


def test_a_name_is_hidden_alike_by_the_same_deployment_alone() -> None:
    ours, others = HiddenNames(b"a" * 32), HiddenNames(b"b" * 32)
    assert ours.hidden("ann") == HiddenNames(b"a" * 32).hidden("ann")
    assert len({ours.hidden("ann"), ours.hidden("ben"), others.hidden("ann"), ours.hidden("")}) == 4
