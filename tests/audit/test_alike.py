"""What is the same in each event is true of each event, whatever else is asked."""

from __future__ import annotations

from audit.alike import settled
from audit.projection import Server
from fhir_server.search.predicates.predicate import (
    Everything,
    InRange,
    Not,
    Nothing,
    TokenContaining,
    TokenPrefix,
    all_of,
    any_of,
    none_of,
    token,
)

BASE = "https://this.example.net/fhir"
SERVER = Server(BASE)
SITE = token("AuditEvent|site|this.example.net")
ELSEWHERE = token("AuditEvent|site|elsewhere")
READ = token("AuditEvent|action|R")


def test_the_server_that_wrote_an_event_is_true_of_each() -> None:
    for asked in (
        SITE,
        token(f"AuditEvent|source:identifier|{BASE}"),
        token(f"AuditEvent|agent:identifier|{BASE}"),
        TokenPrefix("AuditEvent|site|"),
        TokenPrefix("AuditEvent|address|https this"),
        TokenContaining("AuditEvent|address|", "example"),
    ):
        assert settled(asked, SERVER) == Everything(), asked


def test_anything_else_is_asked_as_it_was() -> None:
    for asked in (ELSEWHERE, READ, TokenPrefix("AuditEvent|type|"), InRange("AuditEvent|date", low_min=1)):
        assert settled(asked, SERVER) == asked


def test_it_is_settled_within_other_questions() -> None:
    assert settled(all_of(SITE, READ), SERVER) == READ
    assert settled(any_of(SITE, READ), SERVER) == Everything()
    assert settled(any_of(ELSEWHERE, READ), SERVER) == any_of(ELSEWHERE, READ)
    assert settled(none_of(SITE), SERVER) == Nothing()
    assert settled(Not(all_of(SITE, READ)), SERVER) == Not(READ)
