"""
From the text of a resource to the text of what is shown of it.

Only what has to be looked into is read, level by level; every value that stays is the very text
that was stored, so numbers keep their digits. What is marked for a summary is cut at every level,
and an object of which nothing would be left (a code that is only an extension saying why it is
not known) stays as it is. Contained resources that the rest refers to stay, or it would refer to
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Raw
from msgspec.json import Decoder

from fhir_server.r4.resource import from_text, to_text
from fhir_server.r4.shaping.masks import (
    RESOURCE,
    asked_properties,
    summary_properties,
    text_properties,
)
from fhir_server.r4.shaping.shape import Shape
from fhir_server.r4.shaping.tag import tagged

Members = dict[str, Raw]

_MEMBERS: Final = Decoder(Members)
_ITEMS: Final = Decoder(list[Raw])
_WORD: Final = Decoder(str)
_NAMELESS: Final = Raw(b"")
_LOCAL_REFERENCE: Final = re.compile(rb'"#([A-Za-z0-9\-.]{1,64})"')


def shaped(text: bytes, resource_type: str, shape: Shape) -> bytes:
    """What `shape` shows of the resource written in `text`; the same text where that is all."""
    if shape.is_whole:
        return text
    members = _MEMBERS.decode(text)
    match shape.summary:
        case "true":
            return to_text(_summary(members, resource_type))
        case "text":
            return to_text(_tagged(_only(members, text_properties(resource_type))))
        case "data":
            return to_text(_tagged({name: value for name, value in members.items() if name != "text"}))
    names = _names_for(resource_type, shape.elements)
    if names is None:
        return text
    return to_text(_tagged(_only(members, asked_properties(resource_type, names))))


def _names_for(resource_type: str, elements: Collection[str]) -> frozenset[str] | None:
    """The elements that are asked for of this type; None when the list does not speak of it."""
    spoken = [
        name
        for qualifier, _, name in (element.rpartition(".") for element in elements)
        if qualifier in ("", resource_type)
    ]
    return frozenset(spoken) if spoken else None


def _only(members: Members, names: Collection[str]) -> Members:
    """The members of these names, and the contained resources that they refer to."""
    kept = {name: value for name, value in members.items() if name in names}
    if "contained" in members and "contained" not in kept:
        contained = _referred_to(_ITEMS.decode(members["contained"]), kept)
        if contained:
            kept["contained"] = Raw(to_text(contained))
    return kept


def _referred_to(contained: Collection[Raw], kept: Members) -> list[Raw]:
    """The resources among `contained` that are referred to, be it by one another."""
    waiting = {bytes(_MEMBERS.decode(one).get("id", _NAMELESS)).strip(b'"'): one for one in contained}
    found: list[Raw] = []
    texts = [bytes(value) for value in kept.values()]
    while texts:
        text = texts.pop()
        for id in _LOCAL_REFERENCE.findall(text):
            if id in waiting:
                found.append(waiting.pop(id))
                texts.append(bytes(found[-1]))
    return [one for one in contained if one in found]


def _summary(members: Members, resource_type: str) -> Members:
    """The summary of a resource, tagged."""
    cut = _cut(members, summary_properties(resource_type))
    return _tagged(_only(members, cut.keys()) | cut)


def _cut(members: Members, properties: Mapping[str, str | None]) -> Members:
    """The members that have a place in a summary, each with what it shows of its content."""
    kept: Members = {}
    for name, value in members.items():
        if name in properties:
            content = properties[name]
            kept[name] = value if content is None else _content(value, content)
    return kept


def _content(value: Raw, type: str) -> Raw:
    """What a summary shows of an element: an object of this type, or several."""
    text = bytes(value)
    if text.startswith(b"["):
        return Raw(to_text([_object(item, type) for item in _ITEMS.decode(text)]))
    return _object(value, type)


def _object(value: Raw, type: str) -> Raw:
    members = _MEMBERS.decode(value)
    if type == RESOURCE:
        return Raw(to_text(_summary(members, _type_of(members))))
    cut = _cut(members, summary_properties(type))
    return Raw(to_text(cut)) if cut else value


def _type_of(resource: Members) -> str:
    """What is stored was judged: its type is one of R4's."""
    return _WORD.decode(resource["resourceType"])


def _tagged(members: Members) -> Members:
    meta = from_text(bytes(members["meta"])) if "meta" in members else {}
    return {**members, "meta": Raw(to_text(tagged(meta)))}
