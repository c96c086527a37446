"""
What can be asked of the audit log by search, and what cannot, and why.

The two tables together are all search parameters that R4 defines for AuditEvent. A parameter
of elements that no event has is refused rather than answered with silence, and the CapabilityStatement
lists those in `SEARCHABLE` alone.

https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

from typing import Final

from audit.index import INDEXED, PLAIN

WRITTEN_BY_THE_SERVER: Final = frozenset(("AuditEvent",))
"""Types that nobody else may create, change or delete."""

SEARCHABLE: Final = INDEXED | PLAIN | {"date", "site", "source", "_id", "_lastUpdated"}
"""The search parameters of AuditEvent that work."""

UNSEARCHABLE: Final = {
    "_content": "no text is indexed",
    "_query": "no named query is defined",
    "_security": "an event carries no labels yet",
    "_source": "an event carries no meta.source: the ledger is its source",
    "_tag": "an event carries no tags",
    "_text": "no text is indexed",
    "agent-name": "names of people are not recorded, only their references",
    "agent-role": "roles are not part of a token yet, so none is recorded",
    "entity-name": "names of resources and people are not recorded",
}
"""The other search parameters of AuditEvent, each with the reason."""
