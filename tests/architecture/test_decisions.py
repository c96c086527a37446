"""
Every decision record says why, what else there was, and what holds it.

A record whose *Enforced by* names a test that is gone is no longer held by anything.
"""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.sources import ROOT, code, code_of_tests, lines, pyproject, text, tree

HEADINGS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
LINES_MAX = 75
RECORDS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/decisions").glob("*.md"))


def test_records_are_numbered_without_a_gap() -> None:
    numbers = [int(record.rsplit("/", 1)[-1][:4]) for record in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_has_its_five_headings_on_one_page(record: str) -> None:
    lines = text(record).splitlines()
    number = record.rsplit("/", 1)[-1][:4]
    assert re.match(rf"# {number} \S", lines[0]), f"{record} begins with `# {number} ` and what was decided"
    assert [line[3:] for line in lines if line.startswith("## ")] == HEADINGS
    assert len(lines) <= LINES_MAX, f"{record} is longer than a page: say less"


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_enforced_by_something_that_exists(record: str) -> None:
    enforced = text(record).split("## Enforced by\n")[1]
    named = re.findall(r"`([^`]+)`", enforced)
    held = [name for name in named if _exists(name)]
    missing = [name for name in named if not _exists(name)]
    assert missing == [], (
        f"{record} names what is not there: name the test, contract or command that holds it now"
    )
    assert held, f"{record} names nothing that holds it: a rule we care about is a test"


def test_each_record_that_is_referred_to_exists() -> None:
    numbers = {record.rsplit("/", 1)[-1][:4] for record in RECORDS}
    pages = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "pyproject.toml", "Makefile", *RECORDS]
    found = [
        f"{path} refers to decision {number}, which is not there"
        for path in [*pages, *code(), *code_of_tests()]
        for number in re.findall(r"decisions/(\d{4})", text(path))
        if number not in numbers
    ]
    assert not found, lines(found)


def _exists(name: str) -> bool:
    """`tests/x/test_y.py`, `tests/x/test_y.py::test_z`, a contract of import-linter, `make check`."""
    if name.startswith("make "):
        return re.search(rf"^{re.escape(name[5:])}:", text("Makefile"), re.MULTILINE) is not None
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    if name in {contract["id"] for contract in contracts}:
        return True
    path, _, function = name.partition("::")
    if not (ROOT / path).exists():
        return False
    return not function or any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
        for node in ast.walk(tree(path))
    )
