"""
Canonical URLs, and which of several versions is meant by one without a version.

R4 leaves the choice to the server; it "should be the latest". Business versions have no order of their
own, so this is ours: what is active before what is not, then the greater version, by its numbers and
without letters behind them (`2.10` over `2.9`, `1.0` over `1.0-rc`), then what was updated last.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fhir_server.r4.resource import Resource

Rank = tuple[bool, bool, tuple[int, ...], bool, str]


def url_and_version(canonical: str) -> tuple[str, str | None]:
    """`http://a.example/vs|1.0` as its two parts."""
    url, _, version = canonical.partition("|")
    return url, version or None


def chosen(candidates: Iterable[tuple[Resource, datetime]], version: str | None) -> Resource | None:
    """Of resources with one url, each with its time of update: that of `version`, else the latest."""
    found = [
        (resource, updated)
        for resource, updated in candidates
        if version is None or resource.get("version") == version
    ]
    return max(found, key=lambda one: (_rank(one[0]), one[1]))[0] if found else None


def _rank(resource: Resource) -> Rank:
    version = resource.get("version")
    numbers, letters = "", ""
    if isinstance(version, str):
        match = _NUMBERS.match(version)
        numbers, letters = match.groups() if match else ("", version)
    parts = tuple(int(part) for part in _PART.findall(numbers))
    return resource.get("status") == "active", version is not None, parts, not letters, letters


_NUMBERS: Final = re.compile(r"[vV]?([0-9._\-]*)(.*)", re.DOTALL)
_PART: Final = re.compile(r"[0-9]{1,18}")
