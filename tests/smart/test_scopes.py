"""https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"""

import pytest

from fhir_server.search.predicates.predicate import all_of, token
from fhir_server.smart.scopes import contexts, covering, granted, narrowed, parse

TYPES = frozenset({"Patient", "Observation"})


@pytest.mark.parametrize(
    ("text", "permissions"),
    [
        ("patient/Observation.rs", "rs"),
        ("user/*.cruds", "cruds"),
        ("system/Patient.read", "rs"),
        ("system/Patient.write", "cud"),
        ("system/Patient.*", "cruds"),
        ("patient/Patient.d", "d"),
    ],
)
def test_both_versions_of_the_grammar_are_understood(text: str, permissions: str) -> None:
    scope = parse(text, TYPES)
    assert scope is not None
    assert scope.permissions == frozenset(permissions)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "patient/Observation.",
        "patient/Observation.sr",
        "patient/Observation.dus",
        "patient/Observation.rr",
        "patient/Observation.read-only",
        "patient/observation.rs",
        "patient/Obs*.rs",
        "patients/Observation.rs",
        "patient/Observation.rs\n",
        "Patient/Observation.rs",
        "patient/Unknown.rs",
        "openid",
        "launch/patient",
        "patient%2FObservation.rs",
        "patient/Observation.ｒ",
    ],
)
def test_what_is_not_understood_is_dropped(text: str) -> None:
    assert parse(text, TYPES) is None


def test_scopes_add_up_and_keep_their_contexts() -> None:
    scopes = granted("patient/Observation.rs user/Observation.r patient/Observation.rs openid", TYPES)
    assert [scope.text for scope in scopes] == ["patient/Observation.rs", "user/Observation.r"]
    assert contexts(scopes, "Observation", "r") == {"patient", "user"}
    assert contexts(scopes, "Observation", "s") == {"patient"}
    assert contexts(scopes, "Observation", "c") == frozenset()
    assert contexts(scopes, "Patient", "r") == frozenset()


def test_a_list_beyond_the_limit_grants_nothing() -> None:
    assert granted("system/*.cruds " * 5_000, TYPES) == ()


@pytest.mark.parametrize(
    "criteria",
    [
        "",
        "category",
        "category=",
        "=laboratory",
        "category=a&",
        "nonsense=1",
        "patient.name=x",
        "_has:Observation:has-member:code=1",
        "code:in=http://example.org/codes",
        "code:below=a|b",
        "_list=1",
        "_filter=code eq a",
        "_text=liver",
        "_lastUpdated=gt2020",
        "_count=1",
        "_include=Observation:patient",
        "date=soon",
        "category=%ff",
        "&".join(f"code={n}" for n in range(11)),
        ",".join(["code=1", *map(str, range(200))]),
    ],
)
def test_criteria_that_one_entry_cannot_answer_are_not_understood(criteria: str) -> None:
    assert parse(f"patient/Observation.rs?{criteria}", TYPES) is None


@pytest.mark.parametrize("value", ["http://a.example|b", "http%3A%2F%2Fa.example%7Cb"])
def test_criteria_are_a_search(value: str) -> None:
    scope = parse(f"patient/Observation.rs?category={value}&status=final", TYPES)
    assert scope is not None
    category, status = token("Observation|category|http://a.example|b"), token("Observation|status|final")
    assert scope.within == all_of(category, status)


def test_criteria_are_of_version_2_alone() -> None:
    assert parse("patient/Observation.read?category=a", TYPES) is None


def test_all_of_a_type_is_covered_by_a_scope_without_criteria_alone() -> None:
    scopes = granted(
        "system/Observation.r?status=final user/Observation.r patient/Observation.s?code=1", TYPES
    )
    assert contexts(scopes, "Observation", "r") == {"user"}
    assert contexts(scopes, "Observation", "s") == frozenset()
    assert [scope.context for scope in covering(scopes, "Observation", "r")] == ["system", "user"]


def test_what_one_limit_lets_through_whole_is_not_cut_by_the_others() -> None:
    laboratory, vital = (f"patient/Observation.rs?category={code}" for code in ("laboratory", "vital-signs"))
    assert narrowed(f"{laboratory} {vital}", f"{vital} {laboratory}", TYPES) == f"{laboratory} {vital}"
    cut = narrowed("patient/Observation.rs", f"{vital} {laboratory}", TYPES)
    assert cut == f"{vital} {laboratory}"
