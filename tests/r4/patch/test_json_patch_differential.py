"""JSON Patch against the plainest reading of RFC 6902: a copy of everything, and lists and dicts."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.errors import Invalid, Unprocessable
from fhir_server.r4.patch import json_patch

NAMES = ("a", "b", "c/d", "e~f")

scalars = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x", "0"]))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
tokens = st.sampled_from([*NAMES, "0", "1", "2", "-", "01"])
paths = st.lists(tokens, max_size=3)
operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": paths,
        "from": paths,
        "value": values,
    }
)


class NotDone(Exception):
    """The patch fails, for whatever reason."""


def reference(document: Any, patch: list[dict[str, Any]]) -> Any:
    document = copy.deepcopy(document)
    for operation in copy.deepcopy(patch):
        document = one(document, operation)
    if not isinstance(document, dict):
        raise NotDone
    return document


def one(document: Any, operation: dict[str, Any]) -> Any:
    path, source, value = operation["path"], operation["from"], operation["value"]
    match operation["op"]:
        case "add":
            return add(document, path, value)
        case "remove":
            return remove(document, path)
        case "replace":
            look(document, path)
            return value if not path else add(remove(document, path), path, value)
        case "move":
            moved = look(document, source)
            if path == source:
                return document
            if path[: len(source)] == source:
                raise NotDone
            return add(remove(document, source), path, moved)
        case "copy":
            return add(document, path, copy.deepcopy(look(document, source)))
        case _:
            # As text, so that true is not 1.
            if json.dumps(look(document, path), sort_keys=True) != json.dumps(value, sort_keys=True):
                raise NotDone
            return document


def look(document: Any, path: list[str]) -> Any:
    for token in path:
        document = document[step(document, token, end=False)]
    return document


def step(container: Any, token: str, *, end: bool) -> Any:
    if isinstance(container, dict) and (end or token in container):
        return token
    if isinstance(container, list):
        if end and token == "-":
            return len(container)
        if token in ("0", "1", "2") and int(token) < len(container) + end:
            return int(token)
    raise NotDone


def add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    around = look(document, path[:-1])
    last = step(around, path[-1], end=True)
    if isinstance(around, list):
        around.insert(last, value)
    else:
        around[last] = value
    return document


def remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    around = look(document, path[:-1])
    del around[step(around, path[-1], end=False)]
    return document


def written(operation: dict[str, Any]) -> dict[str, Any]:
    return {
        **operation,
        **{
            name: "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in operation[name])
            for name in ("path", "from")
        },
    }


@settings(max_examples=500)
@given(documents, st.lists(operations, max_size=6))
def test_a_patch_does_what_the_plain_reading_does(
    document: dict[str, Any], patch: list[dict[str, Any]]
) -> None:
    kept = copy.deepcopy(document)
    try:
        expected = reference(document, patch)
    except NotDone:
        expected = None
    try:
        found = json_patch(document, json.dumps([written(operation) for operation in patch]).encode())
    except (Invalid, Unprocessable):
        assert expected is None
    else:
        assert json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert document == kept
