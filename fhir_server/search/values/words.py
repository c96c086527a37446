"""
The words of a resource, for `_text` and `_content`.

A word is a run of letters and digits, without case and accents (folding.py); each Chinese or
Japanese character is one of its own, since nothing stands between their words. It is kept whole:
nothing is stemmed, no word is left out for being common.

`_text` has the words of the narrative, `Condition|_text|liver`. `_content` has these and those of all
other strings, markdown and narratives in the resource, what it contains included:
`Condition|_content|liver` is a word that stands there and not in the narrative. Codes, addresses, dates,
numbers, references and data are no text: they have search parameters of their own.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from fhir_server.r4.definitions import definitions
from fhir_server.r4.fhirpath.model import alternatives, is_primitive
from fhir_server.r4.narrative import text_of
from fhir_server.r4.resource import Resource
from fhir_server.search.values.folding import unaccented

FullText = Literal["off", "narrative", "content"]
"""What is kept the words of: nothing, narratives, everything."""

LEVELS: Final[tuple[FullText, ...]] = ("off", "narrative", "content")

WORD_CHARACTERS_MAX: Final = 64
"""Of a word. A longer one is kept as its beginning and a mark, and found by `beginning*` alone."""

CUT: Final = "…"
"""What no word has: a dot of three, which folding takes apart."""

_TEXT: Final = frozenset(("string", "markdown"))
_NO_TEXT: Final = frozenset(("Reference.reference", "SampledData.data"))
"""Strings by type alone."""

_APART: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ASCII: Final = re.compile("[a-z0-9]+")


def words_in(text: str) -> list[str]:
    """The words of `text` in their order, folded and uncut."""
    plain = unaccented(text)
    found: list[str] = (_ASCII if plain.isascii() else _word()).findall(plain)
    return found


def words_of(resource_type: str, resource: Resource, full_text: FullText) -> tuple[str, ...]:
    """What an index entry has of the words of `resource`, each of them once."""
    if full_text == "off":
        return ()
    narrative = resource.get("text")
    div = narrative.get("div") if isinstance(narrative, Mapping) else None
    told = _cut(words_in(text_of(div))) if isinstance(div, str) else {}
    found = [f"{resource_type}|_text|{word}" for word in told]
    if full_text == "content":
        texts: list[str] = []
        _collect(resource, resource_type, texts)
        others = _cut(words_in("\n".join(texts)))
        found += [f"{resource_type}|_content|{word}" for word in others if word not in told]
    return tuple(found)


def _cut(words: Iterable[str]) -> dict[str, None]:
    most = WORD_CHARACTERS_MAX
    return dict.fromkeys(word if len(word) <= most else word[:most] + CUT for word in words)


class _Reading(NamedTuple):
    """Of one type: the members that are text, those that are narratives, and the types of others."""

    texts: frozenset[str]
    narratives: frozenset[str]
    structures: Mapping[str, str]


def _collect(value: Resource, type: str, texts: list[str]) -> None:
    """Adds all text below `value`, an element or resource of this type."""
    reading = _reading(type)
    for name, member in value.items():
        each = member if isinstance(member, list) else (member,)
        if name in reading.texts:
            texts += [text for text in each if isinstance(text, str)]
        elif name in reading.narratives:
            texts += [text_of(text) for text in each if isinstance(text, str)]
        else:
            within = reading.structures.get(name) or ("Element" if name.startswith("_") else None)
            for part in each if within else ():
                if isinstance(part, Mapping):
                    _collect(part, _type_of(part, within or ""), texts)


def _type_of(part: Mapping[str, Any], declared: str) -> str:
    return str(part.get("resourceType", "")) if declared == "Resource" else declared


@functools.cache
def _reading(type: str) -> _Reading:
    facts = definitions().types.get(type)
    texts, narratives, structures = set(), set(), {}
    for name, element in facts.elements.items() if facts else ():
        if name == "id" or element.path in _NO_TEXT:
            continue
        for member, of_type, _ in alternatives(type, name):
            if of_type in _TEXT:
                texts.add(member)
            elif of_type == "xhtml":
                narratives.add(member)
            elif not is_primitive(of_type):
                structures[member] = of_type
    return _Reading(frozenset(texts), frozenset(narratives), structures)


@functools.cache
def _word() -> re.Pattern[str]:
    """Marks belong to their letters: without them the words of Hindi or Thai would fall apart."""
    marks = "".join(
        chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M")
    )
    return re.compile(f"[{_APART}]|(?:(?![{_APART}])[^\\W_]|[{re.escape(marks)}])+")
