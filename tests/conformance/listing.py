"""
The lists in conformance/: what a page of the specification says, row by row, and the test that asks for it.

Each row names tests below tests/ and ends in what came of them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TESTS: Final = Path(__file__).parents[1]
LISTS: Final = TESTS.parent / "conformance"
RESULTS: Final = ("held", "refused by name", "not yet: ")


@dataclass(frozen=True, slots=True)
class Row:
    """What the specification says (the first cells), the tests of it, and what came of it."""

    said: tuple[str, ...]
    tests: tuple[str, ...]
    result: str


def rows(name: str, heading: str | None = None) -> list[Row]:
    """Those of one section of the list, or of all of it."""
    sections = re.split(r"^## ", (LISTS / name).read_text(), flags=re.MULTILINE)
    text = "\n".join(one for one in sections if heading is None or one.startswith(f"{heading}\n"))
    tables = re.findall(r"^\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [_row(line) for table in tables for line in table.splitlines()]


def _row(line: str) -> Row:
    *said, tests, result = (cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1])
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


def expected_to_fail(name: str) -> bool:
    """Strictly, as pyproject.toml has it: when it comes, its test says so, and the row is to be changed."""
    return any(mark.name == "xfail" for mark in getattr(function(name), "pytestmark", []))


def names_in(pattern: str, *, but: Iterable[str]) -> Iterator[str]:
    """The names of the tests in the files of tests/conformance that match."""
    for path in sorted((TESTS / "conformance").glob(pattern)):
        if path.name not in but:
            for test in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE):
                yield f"conformance/{path.name}::{test}"
