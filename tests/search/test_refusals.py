"""
What a search refuses: by name, and never by leaving it out.

https://hl7.org/fhir/R4/search.html#errors
"""

from __future__ import annotations

import time

import pytest

from fhir_server.r4.errors import FhirError, Invalid, TooCostly, TooLarge, Unsupported
from fhir_server.search.asking.limits import SearchLimits
from tests.search.versions import query


@pytest.mark.parametrize(
    ("type", "name", "value", "refusal"),
    [
        # unknown
        ("Patient", "colour", "red", Invalid),
        ("Patient", "", "red", Invalid),
        ("Patient", "Gender", "male", Invalid),
        ("Observation", "birthdate", "1970", Invalid),
        (None, "gender", "male", Invalid),
        # modifiers
        ("Patient", "gender:text", "male", Invalid),
        ("Patient", "active:in", "http://a.example/vs", Invalid),
        ("Patient", "identifier:not-in", "http://a.example/vs", Invalid),
        ("AuditEvent", "type:text", "rest", Unsupported),
        ("Patient", "gender:of-type", "a|b|c", Invalid),
        ("Patient", "name:text", "a", Invalid),
        ("Patient", "name:contains", " ", Invalid),
        ("Patient", "name:contains", "a\0", Invalid),
        ("Patient", "name:contains", "x" * 201, Invalid),
        ("Patient", "identifier:of-type", "MR|7", Invalid),
        ("Patient", "identifier:of-type", "http://a.example|MR|", Invalid),
        ("Observation", "code:of-type", "http://a.example|MR|7", Invalid),
        ("Observation", "code:text", "", Invalid),
        ("Observation", "code:below", "1", Invalid),
        ("Observation", "code:above", "|1", Invalid),
        ("Observation", "code:above", "http://a.example|", Invalid),
        ("Observation", "code:not-in", "", Invalid),
        ("Observation", "subject:below", "Patient/1", Invalid),
        ("Patient", "gender:", "male", Invalid),
        ("Patient", "gender:missing", "maybe", Invalid),
        ("Patient", "gender:missing", "true,false", Invalid),
        ("Patient", "name:below", "a", Invalid),
        ("Patient", "name:not", "a", Invalid),
        ("Patient", "birthdate:exact", "1970", Invalid),
        ("Patient", "_lastUpdated:exact", "1970", Invalid),
        ("Patient", "_id:missing", "yes", Invalid),
        ("Observation", "subject:Nonsense", "1", Invalid),
        ("Observation", "subject:Practitioner", "1", Invalid),
        ("Observation", "subject:Patient", "Group/1", Invalid),
        ("Observation", "subject:Patient", "https://a.example/Group/1", Invalid),
        ("Observation", "subject:Patient", "urn:uuid:ad2ab0b4-3d2e-4e2c-8a60-4d3e0f4a1b62", Invalid),
        ("Observation", "subject:Practitioner", "https://a.example/Practitioner/1", Invalid),
        ("QuestionnaireResponse", "questionnaire:Patient", "https://a.example/q", Invalid),
        ("QuestionnaireResponse", "questionnaire:Questionnaire", "https://a.example/Patient/1", Invalid),
        ("QuestionnaireResponse", "questionnaire:identifier", "a|b", Invalid),
        ("ValueSet", "url:exact", "http://a.example", Invalid),
        ("ValueSet", "url:below", "urn:oid:1.2", Invalid),
        # values
        ("Patient", "gender", "", Invalid),
        ("Patient", "gender", "male,", Invalid),
        ("Patient", "gender", "a|b|c", Invalid),
        ("Patient", "gender", "|", Invalid),
        ("Patient", "gender", "a\\b", Invalid),
        ("Patient", "active", "yes", Invalid),
        ("Patient", "phone", "http://a.example|1", Invalid),
        ("Patient", "name", " ", Invalid),
        ("Patient", "name", "x" * 201, Invalid),
        ("Patient", "_id", "a/b", Invalid),
        ("Observation", "subject", "Nonsense/1", Invalid),
        ("Observation", "subject", "Patient/", Invalid),
        ("Observation", "subject", "Patient/a b", Invalid),
        ("Observation", "subject", "a/b/Patient/1", Invalid),
        ("Observation", "subject", "a b", Invalid),
        ("RequestGroup", "instantiates-canonical", "", Invalid),
        # known to R4, not to this server
        ("Observation", "value-quantity", "5 mg", Invalid),
        ("Observation", "value-quantity", "5|mg", Invalid),
        ("Observation", "value-quantity", "5|http://unitsofmeasure.org|", Invalid),
        ("Observation", "value-quantity", "", Invalid),
        ("Observation", "value-quantity:exact", "5", Invalid),
        ("RiskAssessment", "probability", "half", Invalid),
        ("RiskAssessment", "probability", "1e999", Invalid),
        ("RiskAssessment", "probability", "Infinity", Invalid),
        ("RiskAssessment", "probability", "٣", Invalid),
        ("MolecularSequence", "chromosome-window-coordinate", "1$2", Invalid),
        ("Observation", "_sort", "code-value-concept", Unsupported),
        ("Patient", "age", "5", Unsupported),
        ("Patient", "_text", "a", Unsupported),
        ("Patient", "_content", "a", Unsupported),
        ("Patient", "_has:Observation:code:code", "a", Invalid),
        ("Observation", "patient.colour", "a", Invalid),
        ("Observation", "subject:Organization.name", "a", Invalid),
        # results
        ("Patient", "_count", "-1", Invalid),
        ("Patient", "_count", "many", Invalid),
        ("Patient", "_count", "", Invalid),
        ("Patient", "_total", "exact", Invalid),
        ("Patient", "_sort", "colour", Invalid),
        ("Patient", "_sort", "birthdate,", Invalid),
        ("Patient", "_sort:desc", "birthdate", Invalid),
        ("Patient", "_sort", "_id,_id,_id,_id,_id", TooCostly),
        ("Observation", "_sort", "code-value-quantity", Unsupported),
        ("Location", "_sort", "near", Unsupported),
        ("Observation", "_include", "Observation", Invalid),
        ("Observation", "_include", "Observation:code", Invalid),
        ("Observation", "_include", "Nonsense:subject", Invalid),
        ("Observation", "_include", "Encounter:subject", Invalid),
        ("Observation", "_include", "Observation:subject:Encounter", Invalid),
        ("Observation", "_include", "*:subject", Invalid),
        ("Observation", "_include", "Encounter:*", Invalid),
        ("Observation", "_include", "Observation:*:Nonsense", Invalid),
        ("Observation", "_include:recurse", "Observation:subject", Invalid),
        ("Observation", "_include:", "Observation:subject", Invalid),
        ("Observation", "_include:iterate", "Observation:code", Invalid),
        ("Observation", "_include", "", Invalid),
        ("Observation", "_revinclude", "Observation:subject", Invalid),
        ("Observation", "_revinclude", "Encounter:*:Patient", Invalid),
        ("Observation", "_revinclude", "Provenance:agent", Invalid),
        ("Patient", "_revinclude", "Observation:code", Invalid),
        ("Patient", "_revinclude", "Observation:subject:Group", Invalid),
        ("Patient", "_elements", "nothing", Invalid),
        ("Patient", "_summary", "yes", Invalid),
        ("Patient", "_contained", "yes", Invalid),
        ("Patient", "_containedType", "Patient", Invalid),
        ("Patient", "_score", "1", Unsupported),
        ("Patient", "_type", "Patient", Invalid),
        (None, "_type", "Nonsense", Invalid),
        (None, "_type", "AuditEvent,Patient", Unsupported),
    ],
)
def test_what_cannot_be_answered_is_refused(
    type: str | None, name: str, value: str, refusal: type[FhirError]
) -> None:
    with pytest.raises(refusal):
        query(type, (name, value))


def test_a_refused_modifier_is_named_and_so_are_those_that_there_are() -> None:
    with pytest.raises(Invalid, match=r"`:below` of `name` .* `:exact`, `:contains`, `:missing`"):
        query("Patient", ("name:below", "a"))


def test_a_refusal_names_the_parameter_and_never_the_value() -> None:
    for name, value in (
        ("birthdate", "Secret"),
        ("active", "Secret"),
        ("gender", "Se|cr|et"),
        ("_id", "Se/cret"),
    ):
        with pytest.raises(Invalid) as refused:
            query("Patient", (name, value))
        assert f"`{name}`" in str(refused.value)
        assert "Se" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [("gender", ""), ("birthdate", "x"), ("gender:text", "a"), ("_count", "x")]
)
def test_lenient_handling_never_ignores_what_is_malformed(name: str, value: str) -> None:
    with pytest.raises(Invalid):
        query("Patient", (name, value), handling="lenient")


def test_limits_are_kept() -> None:
    with pytest.raises(TooCostly, match="100 parameters"):
        query("Patient", *[("given", "a")] * 101)
    with pytest.raises(TooCostly, match="1000 values"):
        query("Patient", *[("given", ",".join("a" * 600))] * 2)
    with pytest.raises(TooLarge, match="2000 characters"):
        query("Patient", ("identifier", "a" * 2_001))
    with pytest.raises(TooLarge, match="200000 characters"):
        query("Patient", *[("identifier", "a" * 2_000)] * 100)
    with pytest.raises(TooCostly, match="_include"):
        query("Patient", *[("_include", "Patient:organization")] * 21)


def test_a_long_chained_order_is_judged_as_fast_as_a_short_one() -> None:
    """Each step may lead to any type, many of which have the next one."""
    started = time.monotonic()
    for code in ("subject", "focus"):
        with pytest.raises(Invalid):
            query(
                "Composition" if code == "subject" else "Task",
                ("_sort", f"{'.'.join([code] * 7)}._id"),
                limits=SearchLimits(chain_links_max=20),
            )
    assert time.monotonic() - started < 5
