"""
What may not stand in the source, and what to do instead.

An allowance names the file and says why; one that nothing uses any more is to be removed.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from io import StringIO

import pytest

from tests.architecture.sources import ROOT, code, code_of_tests, lines, text, tree, within

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60

BANNED_FILE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "managers"}

BANNED_CALLS = {
    "datetime.now": "take `now` as an argument, so that time can be tested",
    "datetime.utcnow": "take `now` as an argument, so that time can be tested",
    "datetime.today": "take `now` as an argument, so that time can be tested",
    "date.today": "take the date as an argument, so that time can be tested",
    "time.time": "take `now` as an argument; measure durations with time.perf_counter or time.monotonic",
    "os.getenv": "add a field to fhir_server/settings.py and take it as an argument",
    "os.environ": "add a field to fhir_server/settings.py and take it as an argument",
    "print": "log a fact with structlog; a command speaks to its terminal with typer.echo",
    "uuid4": "take the id, or a function that makes one, as an argument, so that a run can be repeated",
}

CALLS_ALLOWED: dict[str, dict[str, str]] = {
    "datetime.now": {
        "fhir_server/app.py": "the one clock of the server, handed down from here",
        "fhir_server/commands": "an entry point: passes the time on",
    },
    "time.time": {
        "fhir_server/logs.py": "a line is of the moment in which it is written",
        "fhir_server/commands": "an entry point: passes the time on",
    },
    "os.environ": {
        "fhir_server/api/metrics.py": "prometheus_client's own switch",
        "fhir_server/worker.py": "hands the supervisor's folder over to prometheus_client",
    },
    "uuid4": {
        "fhir_server/app.py": "the one source of ids of the server, handed down from here",
        "fhir_server/commands": "an entry point: passes the id on",
    },
}

# A handler of everything that ends in a bare `raise` hides nothing; these do not raise again.
CATCHING_ALL_ALLOWED: dict[str, str] = {
    "fhir_server/api/fhir.py": "the outermost place: a bug becomes a logged 500 that says nothing",
    "fhir_server/api/authorization/endpoints.py": "the same, beside the FHIR base",
    "fhir_server/api/authorization/pages.py": "the same, for people",
}


def test_no_file_has_a_name_that_says_nothing() -> None:
    found = [
        f"{path}: name it after what belongs inside, in a word of the specification or the domain"
        for path in code() + code_of_tests()
        if path.rsplit("/", 1)[-1].removesuffix(".py").removeprefix("test_") in BANNED_FILE_NAMES
        or any(part in BANNED_FILE_NAMES for part in path.split("/")[:-1])
    ]
    assert not found, lines(found)


def test_no_file_is_too_long() -> None:
    found = [
        f"{path} has {length} lines, more than {FILE_LINES_MAX}: find its second idea, give that a file"
        for path in code() + code_of_tests()
        if (length := text(path).count("\n")) > FILE_LINES_MAX
    ]
    assert not found, lines(found)


def test_no_function_is_too_long() -> None:
    found = [
        f"{path}:{node.lineno} `{node.name}` has {length} lines, more than {FUNCTION_LINES_MAX}: "
        "put the decisions in the caller and the loops in functions that it calls"
        for path in code() + code_of_tests()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not found, lines(found)


@pytest.mark.parametrize("banned", BANNED_CALLS)
def test_nothing_reaches_for_what_it_should_be_given(banned: str) -> None:
    allowed = tuple(CALLS_ALLOWED.get(banned, ()))
    found = [
        f"{path}:{line} `{banned}`: {BANNED_CALLS[banned]}"
        for path in code()
        if not within(path, allowed)
        for line in _uses(path, banned)
    ]
    assert not found, lines(found)


@pytest.mark.parametrize(
    ("banned", "place"), [(b, place) for b, places in CALLS_ALLOWED.items() for place in places]
)
def test_each_allowance_is_used(banned: str, place: str) -> None:
    used = any(list(_uses(path, banned)) for path in code() if within(path, (place,)))
    assert used, f"`{banned}` does not stand in {place} any more: take the allowance out of {__name__}"


def test_nothing_catches_everything_to_carry_on() -> None:
    found = [
        f"{path}:{line}: name the exceptions you can answer; a bug shall crash"
        for path in code()
        if path not in CATCHING_ALL_ALLOWED
        for line in _catches_everything(path)
    ]
    assert not found, lines(found)


@pytest.mark.parametrize("path", CATCHING_ALL_ALLOWED)
def test_each_place_that_may_catch_everything_does(path: str) -> None:
    assert path in code(), f"{path} is gone: take it out of {__name__}"
    assert list(_catches_everything(path)), f"{path} catches by name now: take it out of {__name__}"


def test_nothing_is_left_to_do() -> None:
    words = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{path}:{line} `{comment}`: do it now, or open an issue and say in a comment why it is as it is"
        for path in code() + code_of_tests()
        for line, comment in _comments(path)
        if words.search(comment)
    ]
    assert not found, lines(found)


def test_each_silenced_check_says_why() -> None:
    bare = re.compile(r"#\s*(?:noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[a-z-, ]+\])?)\s*$")
    found = [
        f"{path}:{line} `{comment}`: mend what is reported, or write the reason behind it"
        for path in code() + code_of_tests()
        for line, comment in _comments(path)
        if bare.search(comment)
    ]
    assert not found, lines(found)


def test_each_file_says_what_it_is_for() -> None:
    found = [
        f"{path}: begin with a docstring: what it is about, what it promises, where the specification says so"
        for path in code()
        if not path.endswith("/__init__.py") and ast.get_docstring(tree(path)) is None
    ]
    assert not found, lines(found)


def test_each_folder_of_tests_is_a_package() -> None:
    found = [
        f"{folder}: add an empty __init__.py, or two files of one name in different folders collide"
        for folder in sorted({path.rsplit("/", 1)[0] for path in code_of_tests()})
        if not (ROOT / folder / "__init__.py").exists()
    ]
    assert not found, lines(found)


def _uses(path: str, banned: str) -> Iterator[int]:
    """The lines where `banned` is called, or, for a name like os.environ, only mentioned."""
    for node in ast.walk(tree(path)):
        if banned == "print":
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == banned:
                yield node.lineno
        elif isinstance(node, ast.Attribute | ast.Name) and _dotted(node).removeprefix("uuid.") == banned:
            yield node.lineno


def _dotted(node: ast.expr) -> str:
    """`datetime.now` for datetime.now as well as for dt.datetime.now."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case ast.Attribute(value=ast.Attribute(attr=owner), attr=name):
            return f"{owner}.{name}"
    return ""


def _catches_everything(path: str) -> Iterator[int]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler) and not _raises_again(node):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or _dotted(kind) in {"Exception", "BaseException"} for kind in caught):
                yield node.lineno


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _comments(path: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(StringIO(text(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
