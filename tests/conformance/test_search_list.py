"""
conformance/search.md, the list of what the specification says of searches, held against the tests.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Final

from tests.conformance.listing import RESULTS, expected_to_fail, function, names_in, rows

LIST: Final = "search.md"
FILES: Final = "test_search_*.py"
ROWS_MIN: Final = 170


def test_each_row_names_a_test_that_there_is_and_a_result() -> None:
    found = rows(LIST)
    assert len(found) > ROWS_MIN
    for row in found:
        assert len(row.tests) == 1, row.said
        function(row.tests[0])
        assert row.result.startswith(RESULTS), f"{row.said}: {row.result}"


def test_each_row_says_what_its_test_says() -> None:
    """A test of refusal by name says so in its own."""
    for row in rows(LIST):
        [name] = row.tests
        [said] = row.said
        assert inspect.getdoc(function(name)) == said, name
        assert (row.result == "refused by name") == name.endswith("_refused_by_name"), name


def test_what_is_not_yet_is_expected_to_fail_and_nothing_else_is() -> None:
    for row in rows(LIST):
        assert expected_to_fail(row.tests[0]) == row.result.startswith("not yet"), row


def test_each_test_of_searches_is_in_the_list() -> None:
    listed = [row.tests[0] for row in rows(LIST)]
    there_are = list(names_in(FILES, but=[Path(__file__).name]))
    assert sorted(listed) == sorted(there_are)
