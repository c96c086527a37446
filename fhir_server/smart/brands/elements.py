"""
What is looked at in brands: extensions, links, and reasons why a value is absent.

https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html#must-support-definition-ms-and-data-absent-reasons
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from fhir_server.r4.errors import Issue

DATA_ABSENT_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
REASONS: Final = ("asked-declined", "asked-unknown")


def problem(told: str, expression: str) -> Issue:
    """What keeps a Bundle from being published."""
    return Issue("error", "business-rule", told, (expression,))


def extensions_of(element: Mapping[str, Any], url: str, place: str) -> Iterator[tuple[Any, str]]:
    """The extensions of this kind, each with its place."""
    for index, extension in enumerate(element.get("extension", ())):
        if extension.get("url") == url:
            yield extension, f"{place}.extension[{index}]"


def is_declined(element: Mapping[str, Any], name: str) -> bool:
    """Does the element say why it has no `name`?"""
    told = (element, element.get(f"_{name}", {}))
    return any(True for one in told for _ in extensions_of(one, DATA_ABSENT_REASON, ""))


def wrong_reasons(value: Any, place: str) -> Iterator[Issue]:
    """Each reason for an absent value, at any depth, that may not be given."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from wrong_reasons(item, f"{place}[{index}]")
    elif isinstance(value, Mapping):
        if value.get("url") == DATA_ABSENT_REASON and value.get("valueCode") not in REASONS:
            told = f"The reason for an absent value is one of: {', '.join(REASONS)}"
            yield problem(told, f"{place}.value")
        for name, member in value.items():
            yield from wrong_reasons(member, f"{place}.{name.removeprefix('_')}")


def is_link(text: Any, *schemes: str) -> bool:
    """Is this an absolute URL with one of the schemes?"""
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and (bool(parts.netloc) or (parts.scheme == "data" and bool(parts.path)))
