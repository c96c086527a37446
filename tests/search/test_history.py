"""https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhir_server.r4.errors import FhirError, Invalid, Unsupported
from fhir_server.r4.interaction import History
from fhir_server.search.asking.query import SearchLimits, parse_history

LIMITS = SearchLimits()


def test_parameters_are_understood() -> None:
    found = parse_history(
        History("Patient", "1", (("_since", "2024-01-01T00:00:00Z"), ("_count", "9999"), ("_cursor", "c"))),
        limits=LIMITS,
    )
    assert found.since == datetime(2024, 1, 1, tzinfo=UTC)
    assert (found.count, found.cursor, found.at) == (1000, "c", None)
    assert found.used == (("_since", "2024-01-01T00:00:00Z"), ("_count", "1000"))


def test_at_is_an_interval() -> None:
    found = parse_history(History(parameters=(("_at", "2024-05"),)), limits=LIMITS)
    assert found.at == (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("parameters", "refusal"),
    [
        ((("_since", "yesterday"),), Invalid),
        ((("_since", "ge2024"),), Invalid),
        ((("_since", ""),), Invalid),
        ((("_since", "2024"), ("_at", "2024")), Invalid),
        ((("_count", "1"), ("_count", "2")), Invalid),
        ((("gender", "male"),), Invalid),
        ((("_list", "1"),), Unsupported),
    ],
)
def test_what_it_has_not_is_refused(
    parameters: tuple[tuple[str, str], ...], refusal: type[FhirError]
) -> None:
    with pytest.raises(refusal):
        parse_history(History(parameters=parameters), limits=LIMITS)
