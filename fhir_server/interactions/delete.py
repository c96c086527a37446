"""
delete: the resource is gone; its history stays.

https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

from datetime import datetime

from fhir_server.interactions.access import Access, not_known
from fhir_server.interactions.update import require_match
from fhir_server.r4.resource import Key
from fhir_server.search.predicates.version import Version
from fhir_server.store.unit import Change, Write


def delete(key: Key, access: Access, if_match: str | None) -> Write:
    """
    The deletion of whatever is current when it commits; nothing when it is already deleted.

    The judge raises NotFound for an id that was never used or that the caller may not see.
    """

    def judge(current: Version | None, _now: datetime) -> Change | None:
        if current is None:
            raise not_known(key)
        access.require_seen(current)
        require_match(key, current, if_match)
        return None if current.deleted else Change(None, current.entry, "DELETE")

    return Write(key, judge)
