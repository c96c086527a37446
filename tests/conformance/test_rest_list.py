"""
conformance/rest.md, the list of what the specification says of the REST API, held against the tests.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TESTS: Final = Path(__file__).parents[1]
LIST: Final = TESTS.parent / "conformance" / "rest.md"
RESULTS: Final = ("held", "refused by name", "not yet: ")

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


@dataclass(frozen=True, slots=True)
class Row:
    """What the specification says (the first cells), the tests of it, and what came of it."""

    said: tuple[str, ...]
    tests: tuple[str, ...]
    result: str


def rows(heading: str | None = None) -> list[Row]:
    """Those of one section of the list, or of all of it."""
    sections = re.split(r"^## ", LIST.read_text(), flags=re.MULTILINE)
    text = "\n".join(one for one in sections if heading is None or one.startswith(f"{heading}\n"))
    tables = re.findall(r"^\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [_row(line) for table in tables for line in table.splitlines()]


def _row(line: str) -> Row:
    *said, tests, result = (cell.strip() for cell in line.strip("|").split("|"))
    return Row(tuple(said), tuple(re.findall(r"`([^`]*)`", tests)), result)


def function(name: str) -> Any:
    """The test `folder/test_file.py::test_it` below tests/. Raises AssertionError when pytest has none."""
    path, _, test = name.partition("::")
    file = TESTS / path
    assert re.fullmatch(r"test_\w+\.py", file.name), f"{name}: pytest does not look there"
    assert test.startswith("test_"), f"{name}: pytest does not call it"
    assert file.is_file(), f"{name}: there is no such file"
    module = importlib.import_module("tests." + path.removesuffix(".py").replace("/", "."))
    found = getattr(module, test, None)
    assert callable(found), f"{name}: there is no such test"
    assert found.__module__ == module.__name__, f"{name}: it is another file's"
    return found


def test_each_row_names_tests_that_there_are_and_a_result() -> None:
    found = rows()
    assert len(found) > 150
    for row in found:
        assert row.tests, f"{row.said} has no test"
        assert row.result.startswith(RESULTS), f"{row.said}: {row.result}"
        for name in row.tests:
            function(name)


def test_what_is_not_yet_is_expected_to_fail_and_nothing_else_is() -> None:
    """Strictly, as pyproject.toml has it: when it comes, its test says so, and the row is to be changed."""
    for row in rows():
        expected = any(
            mark.name == "xfail" for name in row.tests for mark in getattr(function(name), "pytestmark", [])
        )
        assert expected == row.result.startswith("not yet"), f"{row.said}: {row.result}"


def test_each_interaction_and_each_status_code_of_the_summary_has_its_row() -> None:
    assert {row.said[0] for row in rows("Requests")} == STATUS_CODES.keys()
    listed = {
        (row.said[0], int(code[1]))
        for row in rows("Responses")
        if (code := re.match(r"(\d{3}): ", row.said[1]))
    }
    assert listed == {(name, code) for name, codes in STATUS_CODES.items() for code in codes}


def test_each_test_of_the_rest_api_is_in_the_list() -> None:
    listed = {name for row in rows() for name in row.tests}
    there_are = {
        f"conformance/{path.name}::{test}"
        for path in sorted(Path(__file__).parent.glob("test_rest_*.py"))
        if path != Path(__file__)
        for test in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert there_are <= listed, there_are - listed
