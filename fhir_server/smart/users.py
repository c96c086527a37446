"""
Users: people who log in, whom they are in the record, and what their names and passwords may be.

A name is looked up as Unicode compares names without regard to case (NFKC, case-folded), so that nobody can
be taken for another by a look-alike spelling. A password is judged by its length and by a short list, not by
what kinds of characters it has: composition rules make passwords that are alike, says NIST.

https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

NAME_CHARACTERS_MAX: Final = 100
PASSWORD_CHARACTERS_MIN: Final = 12
PASSWORD_CHARACTERS_MAX: Final = 200
DIFFERENT_CHARACTERS_MIN: Final = 5
"""`aaaaaaaaaaaa` and `121212121212` are long and guessed first."""

_FHIR_USER: Final = re.compile(
    r"(?:Patient|Person|Practitioner|PractitionerRole|RelatedPerson)/[A-Za-z0-9.\-]{1,64}"
)
# What long passwords of leaked lists begin with. Shorter ones are refused anyway, and a list of all that were
# ever leaked has no place in a server: five guesses in a row lock a user (lock_out.py), so what must not be
# taken is what is among the first guesses.
_GUESSED_FIRST: Final = frozenset(
    """
    000111222333 012345678910 0123456789ab 0987654321098 098765432109 111122223333 112233445566 123123123123
    1234567890- 12345678900 123456789000 123456789012 1234567890123 12345678910 123456789101 1234567891011
    123456789123 1234567891234 12345678987654321 1234567890abc 1234567890qwe 1234567890qwerty 123qweasdzxc
    1q2w3e4r5t6y 1q2w3e4r5t6y7u 1q2w3e4r5t6y7u8i 1qaz2wsx3edc 1qaz2wsx3edc4rfv 1qazxsw23edc 3edc2wsx1qaz
    abc123abc123 abc123456789 abcabcabcabc abcd12345678 abcdefghijkl abcdefghijklm admin1234567
    adminadminadmin administrator administrator1 asdfasdfasdf asdfghjkl123 asdfghjkl;' asdfghjklqwertyuiop
    changeme1234 changemechangeme contrasena123 correcthorsebatterystaple doctordoctor fhirserver123
    hospital1234 hospitalhospital iloveyou1234 iloveyouiloveyou letmein12345 letmeinletmein motdepasse123
    nursenursenurse p@ssw0rd1234 p@ssword1234 pa$$word1234 passw0rd1234 password0000 password1111
    password1234 password12345 password123456 password123456789 password1password1 passwordpassword
    passwortpasswort practitioner q1w2e3r4t5y6 qazwsxedcrfv qazwsxedcrfvtgb qwer1234qwer qwerasdfzxcv
    qwerqwerqwer qwerty123456 qwerty12345678 qwertyqwerty qwertyuiop12 qwertyuiop123 qwertyuiop[]
    qwertyuiopasdfghjkl qwertyuiopasdfghjklzxcvbnm qwertzuiop123 secretsecret secret123456 superman1234
    test12345678 testtesttest unknown12345 user12345678 welcome12345 welcomewelcome zaq12wsxcde3
    zxcvbnm12345 zxcvbnmasdfghjkl zxcvbnmzxcvbnm
    """.split()
)


class InvalidUser(ValueError):
    """A name, a password or a reference that cannot be taken; the message says why and quotes no password."""


@dataclass(frozen=True, slots=True)
class User:
    """
    Somebody who may log in.

    `name` as `login_name` has it; `password` and `totp` are a hash and a sealed secret, never the thing
    itself. `fhir_user` is whom they are in the record, such as `Practitioner/7`; who is None there gets
    nothing clinical. `totp_used` is the last time step whose code was accepted. `failures` are those in a
    row; until `locked_until` no guess is looked at.
    """

    id: str
    name: str
    password: str = field(repr=False)
    fhir_user: str | None
    made: datetime
    password_changed: datetime
    totp: str | None = field(default=None, repr=False)
    totp_used: int | None = None
    disabled: bool = False
    failures: int = 0
    locked_until: datetime | None = None


def login_name(told: str) -> str:
    """
    The name that is meant by what somebody typed; of what can be no name, the empty one.

    https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-3/#G53253 (compatibility caseless match)
    """
    stripped = told.strip()
    if len(stripped) > NAME_CHARACTERS_MAX:
        return ""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", stripped).casefold())
    name = unicodedata.normalize("NFKC", folded.casefold()).strip()
    return name if len(name) <= NAME_CHARACTERS_MAX and name.isprintable() else ""


def new_name(told: str) -> str:
    """The name for a new user. Raises InvalidUser."""
    name = login_name(told)
    if not name:
        raise InvalidUser(f"A name has 1 to {NAME_CHARACTERS_MAX} printable characters")
    return name


def new_password(told: str, name: str) -> str:
    """The password as it came, when the user of this name may have it. Raises InvalidUser."""
    if len(told) > PASSWORD_CHARACTERS_MAX:
        raise InvalidUser(f"A password has at most {PASSWORD_CHARACTERS_MAX} characters")
    try:
        told.encode()
    except UnicodeEncodeError as error:
        raise InvalidUser("The password is not text in UTF-8") from error
    text = unicodedata.normalize("NFKC", told)
    if len(text) < PASSWORD_CHARACTERS_MIN:
        raise InvalidUser(f"A password has at least {PASSWORD_CHARACTERS_MIN} characters")
    if len(set(text)) < DIFFERENT_CHARACTERS_MIN:
        raise InvalidUser(f"A password has at least {DIFFERENT_CHARACTERS_MIN} different characters")
    if login_name(text) == name:
        raise InvalidUser("The password is the name")
    if text.casefold() in _GUESSED_FIRST:
        raise InvalidUser("This password is among those that are guessed first")
    return told


def new_fhir_user(told: str) -> str:
    """The reference. Raises InvalidUser."""
    if not _FHIR_USER.fullmatch(told):
        raise InvalidUser(
            "Whom a user is in the record is said by a reference to a Practitioner, PractitionerRole, "
            "Patient, RelatedPerson or Person: Practitioner/7"
        )
    return told
