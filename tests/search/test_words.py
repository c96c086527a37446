"""Which words a resource has: https://hl7.org/fhir/R4/search.html#content"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.search.values.words import CUT, WORD_CHARACTERS_MAX, words_in, words_of
from tests.r4.instances import places, put


def a_narrative(inside: str) -> dict[str, str]:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'}


def narrative_words(inside: str) -> list[str]:
    found = words_of("Basic", {"resourceType": "Basic", "text": a_narrative(inside)}, "narrative")
    return [word.removeprefix("Basic|_text|") for word in found]


def content_words(resource_type: str, **stated: Any) -> set[str]:
    found = words_of(resource_type, {"resourceType": resource_type, **stated}, "content")
    return {word.rpartition("|")[2] for word in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Müller-Lüdenscheidt, M.", ["muller", "ludenscheidt", "m"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("8480-6, 5.4mg", ["8480", "6", "5", "4mg"]),
        ("it's_x", ["it", "s", "x"]),
        ("東京の肝臓", ["東", "京", "の", "肝", "臓"]),
        ("गुर्दे की", ["गुरदे", "की"]),
        ("ﬁne…", ["fine"]),
        ("--- !?", []),
    ],
)
def test_a_word_is_a_run_of_letters_and_digits(text: str, expected: list[str]) -> None:
    assert words_in(text) == expected


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=200)
def test_words_are_the_same_wherever_they_stand(one: str, other: str) -> None:
    apart = words_in(f"{one} . {other}")
    assert apart == words_in(one) + words_in(other)
    assert [again for word in apart for again in words_in(word)] == apart


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("Bone &amp; <b>liver</b>", ["bone", "liver"]),
        ("<td>left</td><td>right</td><br/>below", ["left", "right", "below"]),
        ("M&#252;ller &lt;x&gt;", ["muller", "x"]),
        ("a<!-- hidden -->b", ["ab"]),
        ('<a href="http://elsewhere.example" title="unread">here</a>', ["here"]),
        ("twice twice Twice", ["twice"]),
    ],
)
def test_a_narrative_is_read_without_its_markup(inside: str, expected: list[str]) -> None:
    assert narrative_words(inside) == expected


def test_nothing_is_kept_when_it_is_off_and_narratives_alone_when_these_are_asked_for() -> None:
    resource = {"resourceType": "Patient", "text": a_narrative("Ann"), "name": [{"family": "Ng"}]}
    assert words_of("Patient", resource, "off") == ()
    assert words_of("Patient", resource, "narrative") == ("Patient|_text|ann",)
    assert words_of("Patient", resource, "content") == ("Patient|_text|ann", "Patient|_content|ng")


def test_content_is_all_that_is_text_at_any_depth() -> None:
    found = content_words(
        "Condition",
        identifier=[{"system": "http://system.example", "value": "MRN-77"}],
        code={
            "coding": [{"system": "http://loinc.org", "code": "codeless", "display": "Shown"}],
            "text": "Told",
        },
        subject={"reference": "Patient/refless", "display": "Whom"},
        recordedDate="2024",
        _recordedDate={"extension": [{"url": "http://extension.example", "valueString": "Beside"}]},
        note=[{"text": "Remarked *twice*", "authorString": "Author"}],
        contained=[{"resourceType": "Patient", "id": "idless", "name": [{"given": ["Inner", None]}]}],
        text=a_narrative("Narrated"),
    )
    assert found == {
        *("mrn", "77", "shown", "told", "whom", "beside", "remarked", "twice", "author", "inner", "narrated"),
    }


def test_sections_have_narratives_of_their_own_and_data_has_no_words() -> None:
    section = {"title": "Title", "text": a_narrative("Sectioned"), "section": [{"title": "Deeper"}]}
    assert content_words("Composition", section=[section]) == {"title", "sectioned", "deeper"}
    assert content_words("Binary", contentType="text/plain", data="aGVsbG8=") == set()
    data = {"origin": {"value": 0, "unit": "mV"}, "data": "1 2 3", "period": 1, "dimensions": 1}
    assert content_words("Observation", valueSampledData=data) == {"mv"}
    held = {"resourceType": "Patient", "name": [{"text": "Held"}]}
    assert content_words("Bundle", type="collection", entry=[{"resource": held}]) == {"held"}


def test_a_word_beyond_the_limit_is_known_by_its_beginning() -> None:
    [found] = narrative_words("x" * (WORD_CHARACTERS_MAX + 9))
    assert found == "x" * WORD_CHARACTERS_MAX + CUT
    assert words_in(CUT) == []


@pytest.mark.parametrize("type", sorted(definitions().resource_types))
def test_each_text_of_each_type_is_read(type: str) -> None:
    for place in places(type):
        if place.declared.code in ("string", "markdown") and place.element.name != "id":
            resource = put(place, "Unmistakable words")
            expected = {f"{type}|_content|unmistakable", f"{type}|_content|words"}
            assert expected <= set(words_of(type, resource, "content")), place
