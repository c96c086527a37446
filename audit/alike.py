"""
What is the same in each event of a server is in no index: a question for it is answered by the question.

`site` and `source` name the server that wrote the event, and one `agent` with its `address` is that server.

https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from audit.projection import Server, of_each_event
from fhir_server.r4.resource import Key
from fhir_server.search.indexing.extraction import extract
from fhir_server.search.predicates.entry import Entry
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Everything,
    Predicate,
    TokenContaining,
    TokenPrefix,
)
from fhir_server.search.predicates.rewriting import rewritten
from fhir_server.search.predicates.version import Version


def settled(predicate: Predicate, server: Server) -> Predicate:
    """The same question, without what is true of each event of `server`."""
    alike = _alike(server)

    def of_each(part: Predicate) -> Predicate | None:
        asks_tokens = isinstance(part, AnyToken | TokenPrefix | TokenContaining)
        return Everything() if asks_tokens and matches(part, alike) else None

    return rewritten(predicate, of_each)


@lru_cache(maxsize=16)
def _alike(server: Server) -> Version:
    """An event that has nothing but what each has, and so has a token exactly if each has it."""
    entry = extract(of_each_event(server), _KEY, base_url=server.base_url)
    tokens = tuple(
        token for token in entry.tokens if token.startswith("AuditEvent|") and ":text|" not in token
    )
    return Version(_KEY, 1, _NEVER, b"{}", Entry(tokens), "")


_KEY: Final = Key("AuditEvent", "each")
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
