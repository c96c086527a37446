"""What an interaction answers; how it looks on the wire is the business of api/ and bundles.py."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.r4.errors import Issue
from fhir_server.r4.resource import Resource
from fhir_server.search.predicates.version import Version


@dataclass(frozen=True, slots=True)
class Found:
    """A version to show: read and vread."""

    version: Version


@dataclass(frozen=True, slots=True)
class NotModified:
    """The client already has this version (304)."""

    version: Version


@dataclass(frozen=True, slots=True)
class Written:
    """
    The version that now is current; `created` when there was none before.

    `warnings` are the rules that it breaks and that refuse nothing.
    """

    version: Version
    created: bool
    warnings: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """The tombstone, or None when there was nothing to delete."""

    version: Version | None


@dataclass(frozen=True, slots=True)
class Bundled:
    """A Bundle, as its JSON text."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A resource that the server makes and nobody stores."""

    resource: Resource


Answer = Found | NotModified | Written | Removed | Bundled | Document
