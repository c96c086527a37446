"""
Once it is known which codes are meant, what is found is what has one of them.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.search.predicates.elsewhere import Among
from fhir_server.search.predicates.matching import matches
from fhir_server.search.predicates.predicate import Coded, Not, Predicate
from fhir_server.search.predicates.rewriting import questions_in
from fhir_server.search.values.token import having
from tests.search.versions import query, version_of

SYSTEMS = ("http://a.example/s", "http://a.example/s|t", "urn:\\x")
CODES = ("a", "b", "a|b", "\\")

codings = st.fixed_dictionaries(
    {"code": st.sampled_from(CODES)}, optional={"system": st.sampled_from(SYSTEMS)}
)
observations = st.lists(codings, min_size=1, max_size=3).map(
    lambda some: {"resourceType": "Observation", "status": "final", "code": {"coding": some}}
)
meanings = st.dictionaries(
    st.sampled_from(SYSTEMS), st.one_of(st.none(), st.frozensets(st.sampled_from(CODES), min_size=1))
)


def asked(type: str, name: str, value: str) -> tuple[Predicate, list[Coded]]:
    predicate = query(type, (name, value)).predicate
    return predicate, [each for each in questions_in(predicate) if isinstance(each, Coded)]


def has_one(observation: dict[str, Any], codes: Mapping[str, frozenset[str] | None]) -> bool:
    for coding in observation["code"]["coding"]:
        if coding.get("system") in codes:
            some = codes[coding["system"]]
            if some is None or coding["code"] in some:
                return True
    return False


@settings(max_examples=200)
@given(observations, meanings)
def test_what_has_one_of_the_codes_is_found_and_with_not_in_the_rest(
    observation: dict[str, Any], codes: Mapping[str, frozenset[str] | None]
) -> None:
    version = version_of(observation)
    for name, expected in (("code:in", True), ("code:not-in", False)):
        predicate, questions = asked("Observation", name, "http://a.example/vs")
        among = Among((version,), {question: having(question, codes) for question in questions})
        assert matches(predicate, version, among.answer) == (has_one(observation, codes) == expected)


def test_an_element_of_type_code_has_the_system_of_its_binding() -> None:
    gender = "http://hl7.org/fhir/administrative-gender"
    _, (question,) = asked("Patient", "gender:in", "http://a.example/vs")
    for stated in ("male", "female"):
        version = version_of({"resourceType": "Patient", "gender": stated})
        assert matches(having(question, {gender: frozenset(("male", "x"))}), version) == (stated == "male")
        assert matches(having(question, {gender: None}), version)
        assert not matches(having(question, {"urn:x": None}), version)


def test_a_code_is_named_with_its_system_unless_its_binding_has_one() -> None:
    _, (question,) = asked("Patient", "gender:below", "male")
    assert question.of == ("http://hl7.org/fhir/administrative-gender", "male")
    _, (question,) = asked("Observation", "code:above", "urn:x|a\\|b")
    assert question.of == ("urn:x", "a|b")
    assert question.asked_as == "code:above"


def test_what_is_found_under_several_names_is_in_none_of_them() -> None:
    predicate, questions = asked("Observation", "combo-code:not-in", "http://a.example/vs")
    assert len(questions) == 2
    assert any(isinstance(part, Not) for part in getattr(predicate, "parts", ()))
