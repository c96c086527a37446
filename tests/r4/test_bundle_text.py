"""A Bundle read entry by entry is the Bundle read as a whole: the same values, the same refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.bundle_text import BundleText
from fhir_server.r4.errors import FhirError, Invalid, TooCostly
from fhir_server.r4.resource import from_text, to_text

SPACES = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])
LITERALS = st.sampled_from(
    ["1.00", "0.1e-7", "-0", "123456789012345678", "7", "true", "null", '"x"', '"\\u00e9"']
)
ODD = st.sampled_from(
    [
        '"a\\u0000b"',
        '"\\ud800"',
        "1e2000000000",
        "NaN",
        "01",
        "'x'",
        "[" * 70 + "]" * 70,
        '{"a":1,"a":2}',
        "",
        "{",
    ]
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Bundles written in many ways, some of them wrong somewhere."""
    values = st.one_of(LITERALS, LITERALS, LITERALS, ODD)
    entries = [
        f'{draw(SPACES)}{{{draw(SPACES)}"resource":{{"a":{draw(values)}}}{draw(SPACES)}}}{draw(SPACES)}'
        for _ in range(draw(st.integers(0, 4)))
    ]
    members = [
        '"resourceType":"Bundle"',
        f'"type"{draw(SPACES)}:{draw(SPACES)}{draw(values)}',
        f'"entry":{draw(SPACES)}[{",".join(entries)}]',
        *draw(st.sampled_from([[], ['"type":1'], ['"entry":{}'], ['"x":[1,{"y":[]}]']])),
    ]
    separator = f"{draw(SPACES)},{draw(SPACES)}"
    end = draw(st.sampled_from(["", "", "", " ", "}", "x", ","]))
    return f"{draw(SPACES)}{{{separator.join(draw(st.permutations(members)))}}}{end}"


def keep(_index: int, entry: Any) -> Any:
    return entry


def outcome(read: Any) -> bytes | tuple[type, str]:
    try:
        return to_text(read())
    except FhirError as refusal:
        return type(refusal), str(refusal)


def by_entry(text: bytes) -> dict[str, Any]:
    bundle = BundleText(text, keep, kept_bytes_max=0)
    if isinstance(bundle.envelope.get("entry"), list):
        assert [bundle.entry(n) for n in range(len(bundle.envelope["entry"]))] == bundle.envelope["entry"]
    return bundle.envelope


@given(texts())
def test_reading_by_entry_and_as_a_whole_agree(text: str) -> None:
    encoded = text.encode()
    assert outcome(lambda: by_entry(encoded)) == outcome(lambda: from_text(encoded))


@given(texts(), st.data())
def test_they_agree_on_what_is_cut_off_or_not_utf8(text: str, data: st.DataObject) -> None:
    encoded = bytearray(text.encode())
    place = data.draw(st.integers(0, len(encoded) - 1))
    if data.draw(st.booleans()):
        del encoded[place:]
    else:
        encoded[place] = data.draw(st.integers(0, 255))
    assert outcome(lambda: by_entry(bytes(encoded))) == outcome(lambda: from_text(bytes(encoded)))


def test_the_depth_of_an_entry_is_counted_from_the_bundle() -> None:
    for depth in (59, 60, 61, 62, 63, 64, 65):
        nested: Any = []
        for _ in range(depth - 1):
            nested = [nested]
        text = to_text({"entry": [{"resource": nested}]})
        assert outcome(lambda text=text: by_entry(text)) == outcome(lambda text=text: from_text(text))


def test_a_sketch_that_refuses_is_the_last_word() -> None:
    def refuse(index: int, entry: Any) -> Any:
        if index == 2:
            raise TooCostly("too many")
        return entry

    text = json.dumps({"entry": [{}, {}, {}], "type": "x"}).encode()
    for kept_bytes_max in (0, 1000):
        with pytest.raises(TooCostly):
            BundleText(text, refuse, kept_bytes_max=kept_bytes_max)
    with pytest.raises(Invalid):
        BundleText(text[:-1], keep, kept_bytes_max=0)


def test_an_entry_is_read_again_when_it_is_asked_for() -> None:
    text = b'{"entry":[{"resource":{"value":1.50}}]}'
    bundle = BundleText(text, lambda index, _entry: index, kept_bytes_max=0)
    assert bundle.envelope == {"entry": [0]}
    assert to_text(bundle.entry(0)) == b'{"resource":{"value":1.50}}'
