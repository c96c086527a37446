"""https://hl7.org/fhir/R4/search.html#string"""

from __future__ import annotations

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
        ("O'Brien-Smith", "o'brien-smith"),
        ("王小明", "王小明"),
        ("한국", unicodedata.normalize("NFKD", "한국")),
    ],
)
def test_case_accents_and_spacing_are_left_out(text: str, expected: str) -> None:
    assert folded(text) == expected


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=30))
def test_how_a_text_is_composed_does_not_matter(text: str) -> None:
    assert folded(unicodedata.normalize("NFC", text)) == folded(unicodedata.normalize("NFD", text))


@given(st.lists(st.text(alphabet=st.characters(categories=["L"]), min_size=1, max_size=8), max_size=4))
def test_the_first_words_fold_to_the_beginning(words: list[str]) -> None:
    for count in range(len(words) + 1):
        assert folded(" ".join(words)).startswith(folded(" ".join(words[:count])))
