"""
conformance/smart.md: `python -m conformance.smart` writes into its rows the tests that hold them.

A test says what it holds in brackets at the start of its docstring: `[S4, R370]`, a range as `R352-R363`.
What a requirement says, and why one is left aside, stands in the document and nowhere else.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_suffix(".md")
TESTS: Final = PAGE.parents[1] / "tests"
HELD: Final = "held"
NO_TEST: Final = "no test yet"

_BRACKETS: Final = re.compile(r"\[([A-Z][^\]]*)\]")
_ONE: Final = re.compile(r"[A-Z]+(?:-[A-Z]+-|-)?[0-9]+")
_RANGE: Final = re.compile(r"([A-Z])([0-9]+)(?:-| to )\1?([0-9]+)")
_ATTACK: Final = re.compile(r"X[0-9]+")
"""Of the list of attacks, which is another one."""
_ROW: Final = re.compile(r"\| ([A-Z][A-Z0-9-]*[0-9]) \|")


def held_by(known: frozenset[str]) -> Mapping[str, Sequence[str]]:
    """
    The tests that name each id, as `folder/test_file.py::test_it`; of a range, the ids that are known.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for test, docstring in _docstrings():
        match = _BRACKETS.match(docstring)
        for id in _ids(match[1], known) if match else ():
            found[id].append(test)
    return found


def ids_of(page: str) -> list[str]:
    """Those of its rows, in order."""
    return [match[1] for line in page.splitlines() if (match := _ROW.match(line))]


def written(page: str) -> str:
    """The page with the tests that there are."""
    tests = held_by(frozenset(ids_of(page)))
    return "".join(_line(line, tests) for line in page.splitlines(keepends=True))


def _docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                docstring = ast.get_docstring(node)
                if docstring is not None:
                    yield f"{path.relative_to(TESTS).as_posix()}::{node.name}", docstring


def _ids(text: str, known: frozenset[str]) -> Iterator[str]:
    for part in text.split(", "):
        if match := _RANGE.fullmatch(part):
            letter, first, last = match.groups()
            # The numbers between are those of clients' requirements, too.
            yield from (
                id for number in range(int(first), int(last) + 1) if (id := f"{letter}{number}") in known
            )
        elif _ONE.fullmatch(part) and not _ATTACK.fullmatch(part):
            yield part


def _line(line: str, tests: Mapping[str, Sequence[str]]) -> str:
    match = _ROW.match(line)
    if match is None:
        return line
    *said, _, result = re.split(r"(?<!\\)\|", line.rstrip("\n"))[1:-1]
    found = tests.get(match[1], ())
    if result.strip() in (HELD, NO_TEST, ""):
        result = HELD if found else NO_TEST
    cells = [*(cell.strip() for cell in said), ", ".join(f"`{test}`" for test in found), result.strip()]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
