"""What is asked, and what the self link will say; test_refusals.py has what is not answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhir_server.r4.errors import Invalid
from fhir_server.search.asking.query import Include, SortKey
from fhir_server.search.predicates.predicate import (
    AnyToken,
    Everything,
    InRange,
    Nothing,
    Predicate,
    TokenPrefix,
    Updated,
    WithId,
    all_of,
    any_of,
    none_of,
    of_types,
    token,
)
from tests.search.versions import query


def a_name(start: str, code: str = "name") -> Predicate:
    """A string of it starts so, or a later word."""
    return any_of(TokenPrefix(f"Patient|{code}|{start}"), TokenPrefix(f"Patient|{code}:word|{start}"))


@pytest.mark.parametrize(
    ("type", "name", "value", "expected"),
    [
        # token
        ("Observation", "code", "8867-4", token("Observation|code|8867-4")),
        ("Observation", "code", "http://loinc.org|8867-4", token("Observation|code|http://loinc.org|8867-4")),
        ("Observation", "code", "|8867-4", token("Observation|code||8867-4")),
        ("Observation", "code", "http://loinc.org|", TokenPrefix("Observation|code|http://loinc.org|")),
        ("Observation", "code", "a\\|b", token("Observation|code|a\\|b")),
        (
            "Observation",
            "code",
            "a\\,b,c",
            AnyToken(frozenset({"Observation|code|a,b", "Observation|code|c"})),
        ),
        (
            "Observation",
            "code:not",
            "a,b",
            none_of(AnyToken(frozenset({"Observation|code|a", "Observation|code|b"}))),
        ),
        ("Observation", "code:missing", "true", none_of(TokenPrefix("Observation|code|"))),
        ("Observation", "code:missing", "false", TokenPrefix("Observation|code|")),
        (
            "Observation",
            "combo-code",
            "8867-4",
            AnyToken(frozenset({"Observation|code|8867-4", "Observation|component-code|8867-4"})),
        ),
        ("Patient", "gender", "female", token("Patient|gender|female")),
        (
            "Patient",
            "gender",
            "http://hl7.org/fhir/administrative-gender|female",
            token("Patient|gender|female"),
        ),
        ("Patient", "gender", "http://hl7.org/fhir/administrative-gender|", TokenPrefix("Patient|gender|")),
        ("Patient", "gender", "http://hl7.org/fhir/administrative-gender|purple", Nothing()),
        ("Patient", "gender", "http://loinc.org|female", Nothing()),
        ("Patient", "active", "true", token("Patient|active|true")),
        ("Patient", "active", "http://hl7.org/fhir/special-values|false", token("Patient|active|false")),
        ("Patient", "phone", "+1 555", token("Patient|phone|+1 555")),
        ("Patient", "_tag", "http://a.example|t", token("Patient|_tag|http://a.example|t")),
        # reference
        ("Observation", "patient", "5", token("Observation|patient|Patient/5")),
        ("Observation", "patient", "Patient/5", token("Observation|patient|Patient/5")),
        ("Observation", "subject:Patient", "5", token("Observation|subject|Patient/5")),
        ("Observation", "subject:Patient", "Patient/5", token("Observation|subject|Patient/5")),
        (
            "Observation",
            "subject",
            "https://fhir.example.org/r4/Patient/5",
            token("Observation|subject|Patient/5"),
        ),
        (
            "Observation",
            "subject",
            "https://other.example/Patient/5",
            token("Observation|subject|https://other.example/Patient/5"),
        ),
        ("Observation", "subject", "urn:uuid:7", token("Observation|subject|urn:uuid:7")),
        ("Observation", "subject", "Patient/5/_history/2", token("Observation|subject|Patient/5/_history/2")),
        (
            "Observation",
            "subject",
            "5",
            AnyToken(
                frozenset(f"Observation|subject|{t}/5" for t in ("Patient", "Group", "Device", "Location"))
            ),
        ),
        (
            "Observation",
            "subject:identifier",
            "http://a.example|7",
            token("Observation|subject:identifier|http://a.example|7"),
        ),
        (
            "Observation",
            "subject:missing",
            "true",
            none_of(
                any_of(TokenPrefix("Observation|subject|"), TokenPrefix("Observation|subject:identifier|"))
            ),
        ),
        (
            "QuestionnaireResponse",
            "questionnaire",
            "http://a.example/q|2",
            token("QuestionnaireResponse|questionnaire|http://a.example/q\\|2"),
        ),
        # string
        ("Organization", "name", "Mül", TokenPrefix("Organization|name|mul")),
        ("Patient", "name", "Mül", a_name("mul")),
        ("Patient", "name:exact", "Müller", token("Patient|name|muller|Müller")),
        ("Patient", "phonetic", "Peter", a_name("peter")),
        ("Patient", "name", "a,b", any_of(a_name("a"), a_name("b"))),
        # date
        (
            "Patient",
            "birthdate",
            "1970-01-01",
            InRange("Patient|birthdate", low_min=0, high_max=86_399_999_999),
        ),
        ("Patient", "birthdate", "gt1970-01-01", InRange("Patient|birthdate", high_min=86_400_000_000)),
        (
            "Patient",
            "birthdate:missing",
            "false",
            any_of(InRange("Patient|birthdate"), TokenPrefix("Patient|birthdate|")),
        ),
        # uri
        ("ValueSet", "url", "http://a.example/v", token("ValueSet|url|http://a.example/v")),
        (
            "ValueSet",
            "url:below",
            "http://a.example/v/",
            any_of(token("ValueSet|url|http://a.example/v"), TokenPrefix("ValueSet|url|http://a.example/v/")),
        ),
        (
            "ValueSet",
            "url:above",
            "http://a.example/v/w",
            AnyToken(
                frozenset(
                    f"ValueSet|url|http://a.example{path}{end}"
                    for path in ("", "/v", "/v/w")
                    for end in ("", "/")
                )
            ),
        ),
        ("Patient", "_profile", "http://a.example/p", token("Patient|_profile|http://a.example/p")),
        ("Patient", "_source", "urn:a", token("Patient|_source|urn:a")),
        # what the store knows of every version
        ("Patient", "_id", "a,b", all_of(of_types(frozenset({"Patient"})), WithId(frozenset({"a", "b"})))),
        (
            "Patient",
            "_id:not",
            "a",
            all_of(of_types(frozenset({"Patient"})), none_of(WithId(frozenset({"a"})))),
        ),
        (
            "Patient",
            "_lastUpdated",
            "ge2024-01-01",
            all_of(of_types(frozenset({"Patient"})), Updated(start=datetime(2024, 1, 1, tzinfo=UTC))),
        ),
        ("Patient", "_lastUpdated:missing", "false", of_types(frozenset({"Patient"}))),
        ("Patient", "_lastUpdated:missing", "true", Nothing()),
        ("Patient", "_id:missing", "false", of_types(frozenset({"Patient"}))),
        ("Patient", "_id:missing", "true", Nothing()),
    ],
)
def test_a_criterion_is_a_predicate(type: str, name: str, value: str, expected: Predicate) -> None:
    found = query(type, (name, value)).predicate
    # The type is said where nothing else implies it.
    said = all_of(of_types(frozenset({type})), expected)
    assert found in (expected, said)


def test_repeats_are_and_commas_are_or() -> None:
    found = query("Patient", ("given", "a"), ("given", "b,c")).predicate
    assert found == all_of(a_name("a", "given"), any_of(a_name("b", "given"), a_name("c", "given")))


def test_without_criteria_all_of_the_type_are_meant() -> None:
    assert query("Patient").predicate == of_types(frozenset({"Patient"}))
    assert query(None).predicate == Everything()
    assert query(None).types == ()


def test_several_types_are_searched_by_what_they_have_in_common() -> None:
    found = query(None, ("_type", "Patient,Group"), ("_tag", "t"))
    assert found.types == ("Patient", "Group")
    assert found.predicate == AnyToken(frozenset({"Patient|_tag|t", "Group|_tag|t"}))
    found = query(None, ("_type", "Patient,Group"), ("identifier", "1"))
    assert found.predicate == AnyToken(frozenset({"Patient|identifier|1", "Group|identifier|1"}))
    with pytest.raises(Invalid, match="birthdate"):
        query(None, ("_type", "Patient,Group"), ("birthdate", "1970"))


def test_lenient_handling_ignores_what_is_not_there_and_says_so() -> None:
    found = query(
        "Observation",
        ("colour", "red"),
        ("code", "1"),
        ("_query", "5"),
        ("patient.colour", "x"),
        ("_cursor", "next"),
        ("_count", "5000"),
        ("_format", "json"),
        handling="lenient",
    )
    assert found.ignored == ("colour", "_query", "patient.colour")
    assert found.used == (("code", "1"), ("_count", "1000"), ("_format", "json"))
    assert found.cursor == "next"
    assert found.predicate == token("Observation|code|1")


@pytest.mark.parametrize(
    ("parameters", "count", "total"),
    [
        ((), 50, "none"),
        ((("_count", "7"),), 7, "none"),
        ((("_count", "1001"),), 1000, "none"),
        ((("_count", "9" * 400),), 1000, "none"),
        ((("_count", "0"),), 0, "accurate"),
        ((("_summary", "count"),), 0, "accurate"),
        ((("_summary", "count"), ("_total", "none")), 0, "accurate"),
        ((("_summary", "false"),), 50, "none"),
        ((("_total", "accurate"),), 50, "accurate"),
        ((("_total", "estimate"),), 50, "estimate"),
        ((("_contained", "false"),), 50, "none"),
    ],
)
def test_a_page_has_a_size_and_perhaps_a_total(
    parameters: tuple[tuple[str, str], ...], count: int, total: str
) -> None:
    found = query("Patient", *parameters)
    assert (found.count, found.total) == (count, total)


@pytest.mark.parametrize("name", ["_count", "_total", "_sort", "_summary", "_cursor", "_format"])
def test_what_shapes_the_answer_is_said_once(name: str) -> None:
    value = {"_count": "1", "_total": "none", "_sort": "_id", "_summary": "false"}.get(name, "x")
    with pytest.raises(Invalid, match="more than once"):
        query("Patient", (name, value), (name, value))


@pytest.mark.parametrize(
    ("type", "sort", "order"),
    [
        ("Patient", None, [SortKey("sequence")]),
        ("Patient", "-_lastUpdated", [SortKey("updated", descending=True)]),
        ("Patient", "_id", [SortKey("parameter", "_id")]),
        (
            "Patient",
            "family,-given",
            [SortKey("parameter", "family"), SortKey("parameter", "given", descending=True)],
        ),
        ("Observation", "-date", [SortKey("clinical_date", "date", descending=True)]),
        ("Observation", "value-date", [SortKey("parameter", "value-date")]),
        ("AuditEvent", "-date", [SortKey("updated", descending=True)]),
    ],
)
def test_the_order_is_by_what_an_index_has_where_it_has_it(
    type: str, sort: str | None, order: list[SortKey]
) -> None:
    parameters = [] if sort is None else [("_sort", sort)]
    assert list(query(type, *parameters).order) == order


def test_includes_are_parsed_once_each() -> None:
    found = query(
        "Observation",
        ("_include", "Observation:subject"),
        ("_include", "Observation:subject:Patient"),
        ("_include", "Observation:subject"),
    )
    assert found.includes == (
        Include("Observation", "subject"),
        Include("Observation", "subject", "Patient"),
    )


@pytest.mark.parametrize(
    ("name", "value", "include"),
    [
        ("_include", "*", Include(None, None)),
        ("_include", "Observation:*", Include("Observation", None)),
        ("_include", "Observation:*:Patient", Include("Observation", None, "Patient")),
        ("_include:iterate", "*", Include(None, None, iterate=True)),
        ("_include:iterate", "Patient:link", Include("Patient", "link", iterate=True)),
        ("_revinclude", "*", Include(None, None, reverse=True)),
        ("_revinclude", "Provenance:target", Include("Provenance", "target", reverse=True)),
        ("_revinclude", "Provenance:*", Include("Provenance", None, reverse=True)),
        (
            "_revinclude:iterate",
            "Provenance:target:Patient",
            Include("Provenance", "target", "Patient", iterate=True, reverse=True),
        ),
    ],
)
def test_an_include_has_a_direction_and_may_go_on(name: str, value: str, include: Include) -> None:
    found = query("Observation", (name, value), ("_include", "Observation:subject"))
    assert found.includes == (include, Include("Observation", "subject"))
    assert found.used == ((name, value), ("_include", "Observation:subject"))


@pytest.mark.parametrize("name", ["_include", "_include:iterate", "_revinclude", "_revinclude:iterate"])
def test_a_summary_of_text_has_no_includes(name: str) -> None:
    with pytest.raises(Invalid, match="_summary=text"):
        query("Observation", (name, "*"), ("_summary", "text"))


def test_what_an_audit_event_says_of_its_time_is_the_time_of_its_record() -> None:
    found = query("AuditEvent", ("date", "ge2024-01-01"), ("date", "lt2024-02"), ("patient", "Patient/1"))
    assert found.predicate == all_of(
        Updated(start=datetime(2024, 1, 1, tzinfo=UTC)),
        Updated(end=datetime(2024, 2, 1, tzinfo=UTC)),
        token("AuditEvent|patient|Patient/1"),
    )


def test_values_stay_strings_whatever_they_look_like() -> None:
    for value in ('{"$ne": null}', "$where", "[$gt]", "a.b.$c"):
        assert query(
            "Patient", ("identifier", value.replace("$", "\\$").replace(",", "\\,"))
        ).predicate == token(f"Patient|identifier|{value}")
