"""
Searches that took long, told in the log by what was asked and never by what for.

A line names the type, the parameters with their modifiers, the order and the time; values, of which
one may be a patient's name, stay out. The names are those of a query that was understood, so they are
FHIR's. What such a search examines is told by `_explain=true` (explaining.py).
"""

from __future__ import annotations

import structlog

from fhir_server.pipeline.services import Services
from fhir_server.pipeline.trail import Trail
from fhir_server.search.asking.results import SortKey

log = structlog.get_logger()


def measure_search(trail: Trail, seconds: float, services: Services) -> None:
    """Count the search that `trail` is of, if it was understood, and log it when it was slow."""
    query = trail.search
    if query is None:
        return
    milliseconds = seconds * 1000
    slow = milliseconds >= services.settings.slow_search_ms
    type = query.types[0] if len(query.types) == 1 else "*"
    services.measures.searched(type, seconds, slow=slow)
    if slow:
        log.warning(
            "slow_search",
            request_id=trail.request_id,
            client=trail.caller.client,
            type=type,
            parameters=sorted({name for name, _ in query.used}),
            order=[_named(key) for key in query.order],
            count=query.count,
            status=trail.status,
            duration_ms=round(milliseconds, 3),
        )


def _named(key: SortKey) -> str:
    """As `_sort` has it; the order of creation has no name there."""
    by = {"sequence": "creation", "updated": "_lastUpdated"}.get(key.kind) or key.parameter
    return f"-{by}" if key.descending else str(by)
