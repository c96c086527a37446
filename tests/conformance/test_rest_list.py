"""
conformance/rest.md, the list of what the specification says of the REST API, held against the tests.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.conformance.listing import RESULTS, expected_to_fail, function, names_in, rows

LIST: Final = "rest.md"

STATUS_CODES: Final[Mapping[str, tuple[int, ...]]] = {
    "read": (200, 404, 410),
    "vread": (200, 404),
    "update": (200, 201, 400, 404, 405, 409, 412, 422),
    "patch": (200, 201, 400, 404, 405, 409, 412, 422),
    "delete": (200, 204, 404, 405, 409, 412),
    "create": (201, 400, 404, 405, 422),
    "search": (200, 403),
    "search-all": (200, 403),
    "capabilities": (200, 404),
    "transaction": (200, 400, 404, 405, 409, 412, 422),
    "history": (200,),
    "history-type": (200,),
    "history-all": (200,),
    "operation": (200,),
}
"""Those that the specification's table of responses names, by interaction."""


def test_each_row_names_tests_that_there_are_and_a_result() -> None:
    found = rows(LIST)
    assert len(found) > 150
    for row in found:
        assert row.tests, f"{row.said} has no test"
        assert row.result.startswith(RESULTS), f"{row.said}: {row.result}"
        for name in row.tests:
            function(name)


def test_what_is_not_yet_is_expected_to_fail_and_nothing_else_is() -> None:
    for row in rows(LIST):
        expected = any(map(expected_to_fail, row.tests))
        assert expected == row.result.startswith("not yet"), f"{row.said}: {row.result}"


def test_each_interaction_and_each_status_code_of_the_summary_has_its_row() -> None:
    assert {row.said[0] for row in rows(LIST, "Requests")} == STATUS_CODES.keys()
    listed = {
        (row.said[0], int(code[1]))
        for row in rows(LIST, "Responses")
        if (code := re.match(r"(\d{3}): ", row.said[1]))
    }
    assert listed == {(name, code) for name, codes in STATUS_CODES.items() for code in codes}


def test_each_test_of_the_rest_api_is_in_the_list() -> None:
    listed = {name for row in rows(LIST) for name in row.tests}
    there_are = set(names_in("test_rest_*.py", but=[Path(__file__).name]))
    assert there_are <= listed, there_are - listed
