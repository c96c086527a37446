"""What is allowed is what was chosen, and never what was not offered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.api.pages.people import chosen
from fhir_server.r4.definitions import definitions
from fhir_server.smart.words import offers

TYPES = definitions().resource_types
OBSERVATION, CONDITION = "patient/Observation.rs", "patient/Condition.rs"
OFFERS = offers(("openid", OBSERVATION, CONDITION), TYPES)
LABORATORY, VITAL_SIGNS = (part.text for part in OFFERS[1].narrower[:2])
PROBLEMS = OFFERS[2].narrower[0].text


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        ([], ()),
        ([("choice-0", "all"), ("choice-1", "all"), ("choice-2", "all")], ("openid", OBSERVATION, CONDITION)),
        ([("choice-2", "all"), ("choice-0", "all")], ("openid", CONDITION)),
        ([("choice-1", "none"), ("choice-2", "all")], (CONDITION,)),
        (
            [("choice-1", "some"), ("part-1", VITAL_SIGNS), ("part-1", LABORATORY)],
            (LABORATORY, VITAL_SIGNS),
        ),
        ([("choice-1", "some")], ()),
        ([("choice-1", "all"), ("part-1", LABORATORY)], (OBSERVATION,)),
        ([("choice-1", "none"), ("part-1", LABORATORY)], ()),
        ([("part-1", LABORATORY)], ()),
        ([("choice-1", "some"), ("part-1", PROBLEMS)], ()),
        ([("choice-1", "some"), ("part-1", "patient/*.cruds")], ()),
        ([("choice-0", "some")], ()),
        ([("choice-1", "all"), ("choice-1", "some"), ("part-1", LABORATORY)], (LABORATORY,)),
        ([("choice-1", "all"), ("choice-1", "none")], ()),
        ([("choice-1", "some"), ("choice-1", "none"), ("part-1", LABORATORY)], ()),
        ([("choice-1", "ALL"), ("choice-01", "all"), ("choice-9", "all"), ("scope", OBSERVATION)], ()),
        ([("choice-1", "patient/*.cruds"), ("csrf", "all")], ()),
    ],
)
def test_what_is_chosen_is_what_is_allowed(form: list[tuple[str, str]], texts: tuple[str, ...]) -> None:
    """[A9]"""
    assert chosen(form, OFFERS) == texts


_TEXTS = [text for offer in OFFERS for text in (offer.text, *(part.text for part in offer.narrower))]
_NAMES = st.sampled_from([f"{name}-{n}" for name in ("choice", "part") for n in range(4)])
_VALUES = st.sampled_from(["all", "some", "none", "", "patient/*.cruds", *_TEXTS])


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=12))
def test_whatever_is_posted_nothing_is_allowed_that_was_not_offered(form: list[tuple[str, str]]) -> None:
    """[A9, X12]"""
    found = chosen(form, OFFERS)
    assert set(found) <= set(_TEXTS)
    assert len(found) == len(set(found))


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=12), st.tuples(_NAMES, _VALUES))
def test_choosing_none_as_well_never_widens(form: list[tuple[str, str]], more: tuple[str, str]) -> None:
    assert set(chosen([*form, (more[0], "none")], OFFERS)) <= set(chosen(form, OFFERS))
