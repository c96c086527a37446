"""JSON Patch. https://www.rfc-editor.org/rfc/rfc6902; the examples are those of its appendix A."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fhir_server.r4.errors import Invalid, TooLarge, Unprocessable
from fhir_server.r4.patch import json_patch
from fhir_server.r4.patch.draft import OPERATIONS_MAX
from fhir_server.r4.patch.json_patch import COPIED_CHARACTERS_MAX
from fhir_server.r4.resource import DEPTH_MAX, from_text, is_deeper, to_text


def patched(document: Any, *operations: Any) -> Any:
    """The document after the operations, as JSON; it must be left as it was."""
    before = from_text(json.dumps(document).encode())
    kept = copy.deepcopy(before)
    after = json_patch(before, json.dumps(operations).encode())
    assert before == kept
    return json.loads(to_text(after))


def op(name: str, path: str, **members: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **members}


def move(source: str, path: str) -> dict[str, Any]:
    return {"op": "move", "from": source, "path": path}


def copying(source: str, path: str) -> dict[str, Any]:
    return {"op": "copy", "from": source, "path": path}


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        # A.1 to A.7
        ({"foo": "bar"}, op("add", "/baz", value="qux"), {"baz": "qux", "foo": "bar"}),
        ({"foo": ["bar", "baz"]}, op("add", "/foo/1", value="qux"), {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, op("remove", "/baz"), {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, op("remove", "/foo/1"), {"foo": ["bar", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, op("replace", "/baz", value="boo"), {"baz": "boo", "foo": "bar"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            move("/foo/waldo", "/qux/thud"),
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            move("/foo/1", "/foo/3"),
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        # A.8 in two
        ({"baz": "qux"}, op("test", "/baz", value="qux"), {"baz": "qux"}),
        ({"foo": ["a", 2, "c"]}, op("test", "/foo/1", value=2), {"foo": ["a", 2, "c"]}),
        # A.10, A.11
        (
            {"foo": "bar"},
            op("add", "/child", value={"grandchild": {}}),
            {"foo": "bar", "child": {"grandchild": {}}},
        ),
        ({"foo": "bar"}, op("add", "/baz", value="qux", xyz=123), {"foo": "bar", "baz": "qux"}),
        # A.14, A.16
        ({"/": 9, "~1": 10}, op("test", "/~01", value=10), {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, op("add", "/foo/-", value=["abc", "def"]), {"foo": ["bar", ["abc", "def"]]}),
        # What the appendix leaves out.
        ({"foo": "bar"}, op("add", "/foo", value=None), {"foo": None}),
        ({"foo": "bar"}, op("add", "", value={"a": 1}), {"a": 1}),
        ({"foo": "bar"}, op("replace", "", value={"a": 1}), {"a": 1}),
        ({"foo": {"a": 1}}, move("/foo", ""), {"a": 1}),
        ({"foo": {"a": 1}}, copying("/foo", ""), {"a": 1}),
        ({"foo": [1]}, copying("/foo", "/foo/-"), {"foo": [1, [1]]}),
        ({"foo": [1]}, copying("", "/whole"), {"foo": [1], "whole": {"foo": [1]}}),
        ({"foo": "bar"}, move("/foo", "/foo"), {"foo": "bar"}),
        ({"": 1}, op("replace", "/", value=2), {"": 2}),
        ({"a/b": 1}, op("remove", "/a~1b"), {}),
        ({"foo": [1, 2]}, op("add", "/foo/2", value=3), {"foo": [1, 2, 3]}),
        ({"foo": ["a", "b"]}, move("/foo/0", "/foo/-"), {"foo": ["b", "a"]}),
    ],
)
def test_an_operation_does_what_the_rfc_says(document: Any, operation: Any, expected: Any) -> None:
    assert patched(document, operation) == expected


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        # A.9, A.12, A.15
        ({"baz": "qux"}, op("test", "/baz", value="bar")),
        ({"foo": "bar"}, op("add", "/baz/bat", value="qux")),
        ({"/": 9, "~1": 10}, op("test", "/~01", value="10")),
        ({"foo": [1]}, op("add", "/foo/2", value=2)),
        ({"foo": [1]}, op("add", "/foo/01", value=2)),
        ({"foo": [1]}, op("add", "/foo/-1", value=2)),
        ({"foo": [1]}, op("add", "/foo/1e0", value=2)),
        ({"foo": [1]}, op("add", "/foo/\u0661", value=2)),
        ({"foo": [1]}, op("add", "/foo/" + "9" * 5000, value=2)),
        ({"foo": [1]}, op("add", "/foo/x", value=2)),
        ({"foo": [1]}, op("remove", "/foo/-")),
        ({"foo": [1]}, op("remove", "/foo/1")),
        ({"foo": [1]}, op("replace", "/foo/-", value=1)),
        ({"foo": 1}, op("replace", "/bar", value=1)),
        ({"foo": "text"}, op("add", "/foo/0", value="t")),
        ({"foo": "text"}, op("test", "/foo/0", value="t")),
        ({"foo": 1}, move("/bar", "/baz")),
        ({"foo": 1}, move("/bar", "/bar")),
        ({"foo": 1}, copying("/bar", "/foo")),
        ({"foo": 1}, op("test", "/bar", value=None)),
        ({"foo": 1}, op("remove", "")),
        ({"foo": 1}, op("replace", "", value=[])),
        ({"foo": [1]}, copying("/foo", "")),
    ],
)
def test_what_does_not_fit_the_resource_is_unprocessable(document: Any, operation: Any) -> None:
    with pytest.raises(Unprocessable):
        patched(document, operation)


@pytest.mark.parametrize(
    "operation",
    [
        "add",
        None,
        {},
        {"op": "add"},
        {"op": "add", "path": "/a"},
        {"op": "add", "value": 1},
        {"op": "add", "path": 1, "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a~", "value": 1},
        {"op": "add", "path": "/a~2", "value": 1},
        {"op": "add", "path": "/a" * 65, "value": 1},
        {"op": "test", "path": ""},
        {"op": "replace", "path": "/foo"},
        {"op": "move", "path": "/a"},
        {"op": "copy", "path": "/a", "from": None},
        {"op": "spam", "path": "/a"},
        {"op": ["add"], "path": "/a", "value": 1},
        {"op": "ADD", "path": "/a", "value": 1},
        {"op": "move", "from": "/foo", "path": "/foo/bar"},
        {"op": "move", "from": "", "path": "/foo/bar"},
    ],
)
def test_what_is_no_operation_is_invalid_and_is_named(operation: Any) -> None:
    with pytest.raises(Invalid, match=r"operation\[1\]"):
        patched({"foo": {}}, op("test", "/foo", value={}), operation)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"null", b'"add"', b"[", b"[{]", b"\xff", b"[1e999]", b"[" * 100_000]
)
def test_a_body_that_is_no_patch_is_invalid(text: bytes) -> None:
    with pytest.raises(Invalid):
        json_patch({"resourceType": "Patient"}, text)


def test_a_member_twice_in_one_operation_is_invalid() -> None:
    """A.13"""
    with pytest.raises(Invalid):
        json_patch({"foo": "bar"}, b'[{"op": "add", "path": "/baz", "value": "qux", "op": "remove"}]')


def test_a_patch_without_operations_changes_nothing() -> None:
    assert patched({"resourceType": "Patient", "active": True}) == {"resourceType": "Patient", "active": True}


def test_literals_are_kept_and_written_as_they_came() -> None:
    before = from_text(b'{"a":1.00,"b":0.1e-7,"c":123456789012345678,"d":-0,"e":[1E5]}')
    patch = (
        b'[{"op":"add","path":"/f","value":2.50},{"op":"copy","from":"/a","path":"/g"},'
        b'{"op":"move","from":"/b","path":"/e/0"},{"op":"add","path":"/h","value":1e-07}]'
    )
    after = to_text(json_patch(before, patch))
    assert after == (b'{"a":1.00,"c":123456789012345678,"d":-0,"e":[0.1e-7,1E5],"f":2.50,"g":1.00,"h":1e-07}')


@pytest.mark.parametrize(
    ("stands", "expected", "equal"),
    [
        ("1.0", "1.00", True),
        ("1", "1.000", True),
        ("100", "1e2", True),
        ("-0", "0", True),
        ("0.1", "0.10000000000000000000001", False),
        ("123456789012345678901", "123456789012345678902", False),
        ("1e400", "1e-400", False),
        ("1", '"1"', False),
        ("1", "true", False),
        ("0", "false", False),
        ("0", "null", False),
        ("null", "null", True),
        ("true", "true", True),
        ('"\\u00e9"', '"é"', True),
        ('"e\\u0301"', '"é"', False),
        ('{"a":[1.0,{"b":2}],"c":null}', '{"c":null,"a":[1,{"b":2.0}]}', True),
        ('{"a":1}', '{"a":1,"b":null}', False),
        ("[1,2]", "[2,1]", False),
        ("[]", "{}", False),
    ],
)
def test_a_test_compares_numbers_by_value_and_all_else_deeply(
    stands: str, expected: str, equal: bool
) -> None:
    before = from_text(f'{{"a":{stands}}}'.encode())
    patch = f'[{{"op":"test","path":"/a","value":{expected}}}]'.encode()
    if equal:
        assert to_text(json_patch(before, patch)) == to_text(before)
    else:
        with pytest.raises(Unprocessable, match=r"operation\[0\] \(test\) expects another value at `/a`"):
            json_patch(before, patch)


def test_nothing_is_done_when_a_later_operation_fails() -> None:
    with pytest.raises(Unprocessable, match=r"operation\[2\]"):
        patched({"a": [1]}, op("add", "/a/-", value=2), op("remove", "/a/0"), op("test", "/a/0", value=1))


def test_a_copy_is_a_value_of_its_own() -> None:
    after = patched(
        {"a": {"x": [1]}},
        op("add", "/a/x/-", value=2),
        copying("/a", "/b"),
        op("add", "/a/x/-", value=3),
        op("add", "/b/x/-", value=4),
    )
    assert after == {"a": {"x": [1, 2, 3]}, "b": {"x": [1, 2, 4]}}


def test_what_may_be_somebodys_data_is_not_repeated() -> None:
    for path in ("/John Doe", "/name/Jos\u00e9", "/" + "x" * 65):
        with pytest.raises(Unprocessable) as refusal:
            patched(
                {path[1:].split("/", maxsplit=1)[-1]: 1, "name": {"Jos\u00e9": 1}}, op("test", path, value=2)
            )
        assert path not in str(refusal.value)


def test_a_copy_bomb_is_refused() -> None:
    doubling = [copying("", "/a") for _ in range(100)]
    with pytest.raises((TooLarge, Unprocessable)):
        patched({"a": "x" * 1000}, *doubling)
    with pytest.raises(TooLarge, match=str(COPIED_CHARACTERS_MAX)):
        patched({"a": ["x" * 1000]}, *[copying("/a", "/a/-") for _ in range(100)])


def test_many_operations_are_refused() -> None:
    adding = [op("add", "/a/-", value=1) for _ in range(OPERATIONS_MAX + 1)]
    assert len(patched({"a": []}, *adding[1:])["a"]) == OPERATIONS_MAX
    with pytest.raises(TooLarge, match=str(OPERATIONS_MAX)):
        patched({"a": []}, *adding)


def test_a_resource_cannot_be_nested_deeper_than_one_that_is_sent() -> None:
    deep: dict[str, Any] = {}
    for _ in range(DEPTH_MAX - 4):
        deep = {"a": deep}
    assert is_deeper(patched({}, op("add", "/a", value=deep)), DEPTH_MAX - 5)
    with pytest.raises(Unprocessable, match=f"deeper than {DEPTH_MAX} levels"):
        patched(
            {"b": {"b": {}}},
            op("add", "/b/b/b", value=deep),
            move("/b", "/c"),
            op("add", "/b", value={"b": {}}),
            move("/c", "/b/b/b"),
        )


def test_a_tower_of_moves_is_refused_without_falling_over() -> None:
    """Each turn puts all that there is some levels deeper, far beyond what a function call can follow."""
    inner = "/b" * 60
    tower: dict[str, Any] = {}
    for _ in range(60):
        tower = {"b": tower}
    turn = [op("add", "/n", value=tower["b"]), move("/a", "/n" + inner[2:]), move("/n", "/a")]
    with pytest.raises(Unprocessable, match="deeper"):
        patched({"a": {}}, *(turn * 300))
