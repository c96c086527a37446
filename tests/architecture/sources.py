"""What the architecture tests look at: the files of the project, and what they import."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("fhir_server", "adapters", "terminology", "consent", "audit", "conformance")
SCRIPTS = ("scripts", "tools")


@dataclass(frozen=True, slots=True)
class Import:
    """One module named by an import statement, and where it stands."""

    path: str
    line: int
    module: str


@cache
def code() -> tuple[str, ...]:
    """The Python files of the packages and scripts, relative to the checkout."""
    return _python(*PACKAGES, *SCRIPTS)


@cache
def code_of_tests() -> tuple[str, ...]:
    """The Python files of the tests."""
    return _python("tests")


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def imports(path: str) -> Iterator[Import]:
    """Every module that `path` imports, wherever the statement stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield Import(path, node.lineno, node.module)


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def lines(found: Iterable[str]) -> str:
    """What was found, one line each: a failure is a list of things to do."""
    return "\n" + "\n".join(found)


def within(path: str, places: tuple[str, ...]) -> bool:
    """Whether `path` is one of `places`, or inside one that is a folder."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _python(*folders: str) -> tuple[str, ...]:
    return tuple(
        str(path.relative_to(ROOT)) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))
    )
