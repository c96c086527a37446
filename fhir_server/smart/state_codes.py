"""
The codes under which an app keeps state, as its registration lists them.

A text is `system|code`: the app reads and writes what stands under it for a patient or for its user, and
reads what stands there for everybody. `read:system|code` only reads, as a companion app does;
`global:system|code` writes also what stands there for everybody, as an administrator's app does.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html#security-and-access-controls
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

May = Literal["read", "write", "global"]

STATE_CODES_MAX: Final = 50
SYSTEM_CHARACTERS_MAX: Final = 200
CODE_CHARACTERS_MAX: Final = 100

_TEXT: Final = re.compile(
    rf"(?:(read|global):)?"
    rf"(?=[^|]{{1,{SYSTEM_CHARACTERS_MAX}}}\|)([A-Za-z][A-Za-z0-9+.-]*:[!-{{}}~]+)"
    rf"\|([!-{{}}~]{{1,{CODE_CHARACTERS_MAX}}})"
)
_OF_THE_STANDARD: Final = ("http://hl7.org/", "http://terminology.hl7.org/")


class InvalidStateCode(ValueError):
    """A code that no app can be given; the message says why."""


@dataclass(frozen=True, slots=True)
class StateCode:
    """One code, and what the app may do with what stands under it."""

    system: str
    code: str
    may: May


def state_code(text: str) -> StateCode:
    """The code that `text` writes. Raises InvalidStateCode."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidStateCode(
            f"`{text[:100]}` is no code for app state: `system|code`, the system an absolute URI of up to "
            f"{SYSTEM_CHARACTERS_MAX} characters, the code of up to {CODE_CHARACTERS_MAX} without spaces; "
            "before it `read:` or `global:`"
        )
    marker, system, code = match.groups()
    # Everybody's Basics under such a code would be out of sight.
    if system.startswith(_OF_THE_STANDARD):
        raise InvalidStateCode(f"`{system}` has codes for everybody, and none for one app's state")
    return StateCode(system, code, _MAY[marker])


def state_codes(texts: Sequence[str]) -> tuple[StateCode, ...]:
    """All of an app's. Raises InvalidStateCode, also when one is there twice."""
    if len(texts) > STATE_CODES_MAX:
        raise InvalidStateCode(f"An app has up to {STATE_CODES_MAX} codes for its state")
    found = tuple(map(state_code, texts))
    if len({(one.system, one.code) for one in found}) < len(found):
        raise InvalidStateCode("A code for app state is listed once")
    return found


_MAY: Final[dict[str | None, May]] = {None: "write", "read": "read", "global": "global"}
