"""https://hl7.org/fhir/R4/search.html#string"""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.values.folding import folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Müller", "muller"),
        ("  van  der\tBerg ", "van der berg"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Łukasz", "lukasz"),
        ("Ørsted", "orsted"),
        ("Æsir", "aesir"),
        ("Þór", "thor"),
        ("Nuñez", "nunez"),
        ("Nun\u0303ez", "nunez"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("İstanbul", "istanbul"),
        ("ﬁne", "fine"),
        ("O'Brien-Smith", "obrien smith"),
        ("O\u2019Brien", "obrien"),
        ("O\u00b4Brien", "obrien"),
        ("St. Mary's", "st marys"),
        ("Hawai\u02bbi", "hawaii"),
        ("Gal\u00b7la", "galla"),
        ("P.O. Box 4-B/2", "po box 4 b 2"),
        ("Berg,Ann", "berg ann"),
        ("1.5 (1,5) mg.", "1.5 1,5 mg"),
        ("A+ <5 a|b", "a+ <5 a|b"),
        ("\u3010\u738b\u3011", "\u738b"),
        ("...", ""),
        ("王小明", "王小明"),
        ("한국", unicodedata.normalize("NFKD", "한국")),
    ],
)
def test_case_accents_punctuation_and_spacing_are_left_out(text: str, expected: str) -> None:
    assert folded(text) == expected


texts = st.text(max_size=30) | st.text(alphabet="aÉ1 .,'-\u00b4\u2019\u00ad…ŉ", max_size=12)


@given(texts)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=30))
def test_how_a_text_is_composed_does_not_matter(text: str) -> None:
    assert folded(unicodedata.normalize("NFC", text)) == folded(unicodedata.normalize("NFD", text))


@given(texts, st.integers(0, 12), st.integers(0, 12))
def test_a_part_of_a_text_is_found_in_it_and_a_beginning_at_its_beginning(
    text: str, start: int, length: int
) -> None:
    assert folded(text[start : start + length]) in folded(text)
    assert folded(text).startswith(folded(text[:length]))


@given(texts)
def test_no_punctuation_is_left_but_in_numbers(text: str) -> None:
    marks = [mark for mark in folded(text) if unicodedata.category(mark).startswith("P")]
    within = re.findall(r"(?<=\d)[.,](?=\d)", folded(text))
    assert marks == within


@given(st.lists(st.text(alphabet=st.characters(categories=["L"]), min_size=1, max_size=8), max_size=4))
def test_the_first_words_fold_to_the_beginning(words: list[str]) -> None:
    for count in range(len(words) + 1):
        assert folded(" ".join(words)).startswith(folded(" ".join(words[:count])))
