"""JSON to XML to JSON loses nothing: no value, no digit, no place of a null."""

from __future__ import annotations

import contextlib
import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.r4.errors import Unprocessable
from fhir_server.r4.resource import Literal, from_text
from fhir_server.r4.xml import from_xml, to_xml
from tests.r4.instances import instance_at, places
from tests.r4.packages import EXAMPLES, SYNTHEA
from tests.r4.xml.documents import XHTML, exact


def assert_same_after_xml(resource: dict[str, Any], of: object = None) -> None:
    expected = exact(resource)
    assert exact(from_xml(to_xml(resource))) == expected, of
    assert exact(from_xml(to_xml(resource, pretty=True))) == expected, of


@pytest.mark.parametrize("type", sorted(definitions().resource_types))
def test_each_element_of_each_type(type: str) -> None:
    for place in places(type):
        assert_same_after_xml(instance_at(place), place)


@pytest.mark.slow
@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="hl7.fhir.r4.examples is not here")
def test_hl7s_own_examples() -> None:
    count = 0
    for path in sorted(EXAMPLES.glob("*-*.json")):
        resource = from_text(path.read_bytes())
        assert exact(from_xml(to_xml(resource))) == exact(resource), path.name
        count += 1
    assert count == 5_306


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the synthetic population is not here")
def test_a_synthetic_population() -> None:
    for path in sorted(SYNTHEA.glob("*.json.gz"))[::8]:
        assert_same_after_xml(from_text(gzip.decompress(path.read_bytes())), path.name)


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda character: character >= " " or character in "\t\r\n"
)
TEXTS = st.text(CHARACTERS, min_size=1, max_size=20)
NUMBERS = st.one_of(
    # Longer ones are literals.
    st.integers(-(10**16), 10**17),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda value: f"{value:f}"),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})\.[0-9]{1,20}([eE][+-]?[0-9]{1,2})?", fullmatch=True),
).map(lambda value: value if isinstance(value, int) else Literal(value.encode()))
COMPANIONS = st.one_of(
    st.builds(lambda text: {"id": text}, TEXTS),
    st.builds(lambda text: {"extension": [{"url": "urn:e", "valueString": text}]}, TEXTS),
)


@st.composite
def primitives(draw: st.DrawFn) -> dict[str, Any]:
    """`given` and `_given` as FHIR's JSON has them: as long as each other, never only nulls."""
    pairs = draw(st.lists(st.tuples(st.none() | TEXTS, st.none() | COMPANIONS), min_size=1, max_size=5))
    pairs = [(value, companion if value or companion else {"id": "x"}) for value, companion in pairs]
    values, companions = [value for value, _ in pairs], [companion for _, companion in pairs]
    found = {"given": values} if any(value is not None for value in values) else {}
    return found | ({"_given": companions} if any(companions) else {})


@given(primitives(), TEXTS, TEXTS)
def test_strings_and_companions(given_names: dict[str, Any], family: str, id: str) -> None:
    assert_same_after_xml(
        {
            "resourceType": "Patient",
            "name": [{"family": family} | given_names, {"id": id, "text": family}],
            "birthDate": family,
            "_birthDate": {"id": id},
        }
    )


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_numbers(numbers: list[int | Literal]) -> None:
    components = [{"valueQuantity": {"value": number}} for number in numbers]
    assert_same_after_xml({"resourceType": "Observation", "component": components})


MARKUP = st.sampled_from(
    ("&#160;", "&lt;", "<br/>", "<!-- > -->", "<![CDATA[<]]>", "\r\n", "é", "]", "<p title='>\"'>a</p>")
)


@given(st.lists(MARKUP, max_size=12))
def test_narratives(parts: list[str]) -> None:
    div = f"<div {XHTML}>{''.join(parts)}</div>"
    assert_same_after_xml({"resourceType": "Patient", "text": {"status": "generated", "div": div}})


@given(st.text(st.sampled_from("<>/div&amp;!-[]CDATA \"'="), max_size=30))
def test_a_narrative_cannot_break_out(inside: str) -> None:
    div = f"<div {XHTML}>{inside}</div>"
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    with contextlib.suppress(Unprocessable):
        assert from_xml(to_xml(resource)) == resource
