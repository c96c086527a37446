"""https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"""

import pytest

from fhir_server.smart.scopes import contexts, granted, parse

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
        "patient/Observation.rs?category=laboratory",
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
