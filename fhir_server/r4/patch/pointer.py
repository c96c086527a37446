"""
JSON Pointer: where in a document.

https://www.rfc-editor.org/rfc/rfc6901
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from fhir_server.r4.patch.draft import Step
from fhir_server.r4.resource import DEPTH_MAX

_BAD_ESCAPE: Final = re.compile("~(?![01])")
# No array has a place of more digits.
_PLACE: Final = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)
_SHOWABLE: Final = re.compile("(?:/[A-Za-z0-9_-]{1,64}){0,16}")

END: Final = "-"
"""The place after the last one of an array."""


class NoSuchPlace(LookupError):
    """The pointer leads nowhere in this document."""


class Pointer(NamedTuple):
    """The reference tokens of `/name/0/given`, unescaped."""

    tokens: tuple[str, ...]

    def __str__(self) -> str:
        """As it was written; without what may be no element's name but somebody's data."""
        text = "".join(f"/{token}" for token in self.tokens)
        return f"`{text}`" if _SHOWABLE.fullmatch(text) else "its path"


def pointer(text: str) -> Pointer | None:
    """The pointer that is written in `text`; None when it is none, or deeper than a resource can be."""
    if not text:
        return Pointer(())
    if not text.startswith("/") or _BAD_ESCAPE.search(text) or text.count("/") > DEPTH_MAX:
        return None
    return Pointer(tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/")))


def steps_to(document: Any, tokens: tuple[str, ...]) -> tuple[Step, ...]:
    """The members and places that the tokens name. Raises NoSuchPlace when one is not there."""
    steps: list[Step] = []
    for token in tokens:
        step = step_in(document, token)
        steps.append(step)
        document = document[step]
    return tuple(steps)


def step_in(container: Any, token: str) -> Step:
    """The member or place of a value that is there. Raises NoSuchPlace when it is not."""
    if isinstance(container, dict) and token in container:
        return token
    if isinstance(container, list) and _PLACE.fullmatch(token) and int(token) < len(container):
        return int(token)
    raise NoSuchPlace


def place_for(array: list[Any], token: str) -> int:
    """Where in an array something is put in. Raises NoSuchPlace when that is beyond its end."""
    if token == END:
        return len(array)
    if _PLACE.fullmatch(token) and int(token) <= len(array):
        return int(token)
    raise NoSuchPlace
