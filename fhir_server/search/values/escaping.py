r"""
Search values as they are written: `,` between alternatives, `|` and `$` within one, `\` before
any of these when it is meant literally.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

from typing import Final

from fhir_server.r4.errors import Invalid

SEPARATORS: Final = ",|$"
_ESCAPABLE: Final = frozenset(SEPARATORS + "\\")


def split(text: str, separator: str) -> list[str]:
    """`text` at each `separator` that is not escaped; the parts keep their escapes."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def unescaped(text: str) -> str:
    r"""What `text` means. Raises Invalid for a `\` before anything that needs none."""
    if "\\" not in text:
        return text
    characters = iter(text)
    return "".join(
        _escaped(next(characters, "")) if character == "\\" else character for character in characters
    )


def written(value: str) -> str:
    """The text that means `value`."""
    return "".join("\\" + character if character in _ESCAPABLE else character for character in value)


def _escaped(character: str) -> str:
    if character not in _ESCAPABLE:
        raise Invalid("In a search value `\\` may only stand before `,`, `|`, `$` and `\\`")
    return character
