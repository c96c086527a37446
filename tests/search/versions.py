"""Versions and searches with the least said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhir_server.r4.interaction import Handling, Search
from fhir_server.r4.resource import Key
from fhir_server.search.asking.query import Query, SearchLimits, parse
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.version import Version

NOW = datetime(2024, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)
BASE_URL = "https://fhir.example.org/r4"


def a_version(
    entry: Entry | None = None,
    *,
    type: str = "Basic",
    id: str = "1",
    updated: datetime = NOW,
    sequence: str = "1",
) -> Version:
    return Version(Key(type, id), 1, updated, b"{}", entry or Entry((type,)), sequence)


def version_of(resource: dict[str, Any], *, sequence: str = "1", updated: datetime = NOW) -> Version:
    key = Key(resource["resourceType"], resource.get("id", "1"))
    return Version(key, 1, updated, b"{}", extract(resource, key, base_url=BASE_URL), sequence)


def query(
    type: str | None,
    *parameters: tuple[str, str],
    handling: Handling = "strict",
    limits: SearchLimits | None = None,
) -> Query:
    """The search `type?name=value&name=value`."""
    return parse(Search(type, parameters, handling), limits=limits or SearchLimits(), base_url=BASE_URL)


def finds(resource: dict[str, Any], name: str, value: str) -> bool:
    """`[type]?name=value` has this resource among its matches."""
    return matches(query(resource["resourceType"], (name, value)).predicate, version_of(resource))
