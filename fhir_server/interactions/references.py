"""
References between the entries of a transaction: from the addresses entries have in the Bundle
to the addresses their resources get.

The specification replaces an address wherever its type is Reference, uri, url, oid or uuid,
and in the narrative; what is merely text, such as the value of an Identifier, stays.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.r4.resource import Resource

_TEXT: Final = frozenset({"value", "system", "valueString", "display", "text", "valueMarkdown"})
_CRITERIA: Final = re.compile(r"(?:https?://[^?]*/)?[A-Z][A-Za-z]+\?")
_IN_NARRATIVE: Final = re.compile(r"""((?:href|src)\s*=\s*["'])([^"'#]*)""")


def resolved(resource: Resource, addresses: Mapping[str, str]) -> Resource:
    """`resource` with each address in `addresses` replaced; itself when there is none."""
    return _replaced(resource, addresses) if addresses else resource


def unresolved(resource: Resource) -> Iterator[str]:
    """The `urn:uuid:` and `urn:oid:` references left over, as expressions from `resource` on."""
    yield from _left_over(resource, str(resource.get("resourceType", "")))


def conditional(resource: Resource) -> Iterator[tuple[str, str]]:
    """The references by criteria (`Patient?identifier=7`), each with its expression."""
    yield from _by_criteria(resource, str(resource.get("resourceType", "")))


def _by_criteria(value: Any, expression: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, child in value.items():
            if isinstance(child, dict | list):
                yield from _by_criteria(child, f"{expression}.{name}")
            elif name == "reference" and isinstance(child, str) and _CRITERIA.match(child):
                yield child, f"{expression}.reference"
    else:
        for index, child in enumerate(value):
            if isinstance(child, dict | list):
                yield from _by_criteria(child, f"{expression}[{index}]")


def _replaced(value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _member(name, child, addresses) for name, child in value.items()}
    if isinstance(value, list):
        return [_replaced(child, addresses) for child in value]
    if isinstance(value, str):
        return _address(value, addresses)
    return value


def _member(name: str, value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        if name == "div":
            return _IN_NARRATIVE.sub(lambda found: found[1] + _address(found[2], addresses), value)
        return value if name in _TEXT else _address(value, addresses)
    return _replaced(value, addresses)


def _address(value: str, addresses: Mapping[str, str]) -> str:
    whole, _, fragment = value.partition("#")
    found = addresses.get(whole)
    if found is None:
        return value
    return f"{found}#{fragment}" if fragment else found


def _left_over(value: Any, expression: str) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith(("urn:uuid:", "urn:oid:")):
            yield f"{expression}.reference"
        for name, child in value.items():
            if isinstance(child, dict | list):
                yield from _left_over(child, f"{expression}.{name}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if isinstance(child, dict | list):
                yield from _left_over(child, f"{expression}[{index}]")
