"""
Which searches are feeds: asked again and again from the last that was seen.

A search with a lower bound on `_lastUpdated` that no upper one comes with. It shows what is older than
the store's watermark (store/watermark.py), so that who goes on from there misses nothing.

https://hl7.org/fhir/R4/http.html#history (_since), https://hl7.org/fhir/R4/search.html#lastUpdated
"""

from __future__ import annotations

from fhir_server.search.predicates.predicate import And, Or, Predicate, Updated


def is_feed(predicate: Predicate) -> bool:
    """Is it about what was updated since some time, without end?"""
    match predicate:
        case And(parts=parts):
            return any(map(is_feed, parts)) and not any(map(_ends, parts))
        case Or(parts=parts):
            return any(map(is_feed, parts))
        case Updated(start=start, end=None):
            return start is not None
        case _:
            return False


def _ends(predicate: Predicate) -> bool:
    return isinstance(predicate, Updated) and predicate.end is not None
