"""
read: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from datetime import timedelta

from fhir_server.interactions.answers import Found, NotModified
from fhir_server.r4.interaction import Read
from fhir_server.search.predicates.version import Version


def read(interaction: Read, version: Version) -> Found | NotModified:
    """What the client is to be told of the current `version`, given the version it already has."""
    if interaction.if_none_match is not None:
        unchanged = interaction.if_none_match in (str(version.number), "*")
        return NotModified(version) if unchanged else Found(version)
    since = interaction.if_modified_since
    # The header counts whole seconds, lastUpdated counts milliseconds.
    if since is not None and version.last_updated - timedelta(seconds=1) < since:
        return NotModified(version)
    return Found(version)
