"""
create: a new resource under an id that the server gives.

https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

from datetime import datetime

from fhir_server.interactions.access import Access
from fhir_server.interactions.prepare import Prepared
from fhir_server.search.predicates.version import Version
from fhir_server.store.unit import Change, Write


def create(prepared: Prepared, access: Access) -> Write:
    """The write of `prepared` under its new id. Raises Forbidden when it is not the caller's to make."""
    access.require_admitted(prepared.proposed())

    def judge(_current: Version | None, _now: datetime) -> Change:
        return Change(prepared.parts, prepared.entry, "POST")

    return Write(prepared.key, judge, fresh=True)
