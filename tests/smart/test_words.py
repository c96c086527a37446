"""https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.r4.definitions import definitions
from fhir_server.smart.kinds import CATEGORIES, USUAL_TYPES, plural
from fhir_server.smart.scopes import WORDS, narrowed, parse
from fhir_server.smart.words import Offer, in_words, offers

TYPES = definitions().resource_types
LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
SDOH = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category|sdoh"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient/Observation.rs", "See laboratory results, vital signs and other observations"),
        ("patient/Observation.read", "See laboratory results, vital signs and other observations"),
        ("patient/AllergyIntolerance.cu", "Add and change allergies and intolerances"),
        ("patient/AllergyIntolerance.write", "Add, change and delete allergies and intolerances"),
        ("patient/Goal.d", "Delete health goals"),
        ("patient/ImagingStudy.s", "See imaging studies, such as X-rays"),
        ("patient/SupplyDelivery.r", "See supply deliveries"),
        ("patient/*.rs", "See everything in the record"),
        ("user/Immunization.rs", "See vaccinations, for everyone whose record you can see"),
        ("system/Goal.*", "See, add, change and delete health goals, for all patients"),
        (f"patient/Observation.rs?category={LABORATORY}", "See laboratory results"),
        ("patient/Observation.rs?category=laboratory", "See laboratory results"),
        (
            f"patient/Observation.rs?category=laboratory,{SDOH}",
            "See laboratory results and living conditions, such as housing and food",
        ),
        (
            "patient/Goal.rs?lifecycle-status=on%2Dhold",
            "See health goals, only with lifecycle-status=on-hold",
        ),
        (
            "patient/Condition.rs?category=health-concern&code=urn:a|b",
            "See diagnoses and health problems, only with category=health-concern and code=urn:a|b",
        ),
        ("openid", "Recognize you when you log in"),
        ("fhirUser", "Know who you are"),
        ("profile", "Know who you are"),
        ("launch", "Know what you were working on when you started it"),
        ("launch/patient", "Know which patient this is about"),
        ("launch/encounter", "Know which visit this is about"),
        (
            "launch/imagingstudy?role=x",
            "Know what was open when you started it: imaging studies, such as X-rays",
        ),
        ("offline_access", "Keep access when you are not there (until you take it back)"),
        ("online_access", "Keep access while you are logged in"),
        ("launch/", "launch/"),
        ("launch/nothing", "launch/nothing"),
        ("__something", "__something"),
        ("patient/Nothing.rs", "patient/Nothing.rs"),
        ("", ""),
    ],
)
def test_a_scope_is_told_in_words(text: str, words: str) -> None:
    assert in_words(text) == words


def test_each_scope_without_resources_has_words() -> None:
    assert not {in_words(text) for text in WORDS} & WORDS


def test_each_resource_type_has_a_name_that_is_no_type() -> None:
    names = {plural(type) for type in TYPES}
    assert len(names) == len(TYPES)
    assert not names & TYPES


def test_there_is_an_offer_for_each_scope_once_and_in_order() -> None:
    """[A9]"""
    found = offers(["openid", "patient/Goal.rs", "__x", "openid"], TYPES)
    assert [offer.text for offer in found] == ["openid", "patient/Goal.rs", "__x"]
    assert [offer.narrower for offer in found] == [(), (), ()]


def test_observations_may_be_narrowed_to_the_categories_of_us_core() -> None:
    """[A9]"""
    (offer,) = offers(["patient/Observation.read"], TYPES)
    assert offer.text == "patient/Observation.read"
    assert [part.text for part in offer.narrower] == [
        f"patient/Observation.rs?category={LABORATORY}",
        f"patient/Observation.rs?category={LABORATORY.replace('laboratory', 'vital-signs')}",
        f"patient/Observation.rs?category={LABORATORY.replace('laboratory', 'social-history')}",
        f"patient/Observation.rs?category={LABORATORY.replace('laboratory', 'survey')}",
        f"patient/Observation.rs?category={SDOH}",
    ]
    assert offer.narrower[0].title == "See laboratory results"


def test_what_reads_and_writes_may_be_narrowed_to_reading() -> None:
    """[A9]"""
    assert _parts("patient/Goal.cruds") == ["patient/Goal.rs"]
    assert _parts("patient/Goal.*") == ["patient/Goal.read"]
    assert _parts("patient/Goal.cud") == []
    assert _parts("patient/Goal.crus?lifecycle-status=active") == ["patient/Goal.rs?lifecycle-status=active"]
    condition = "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"
    found = _parts("user/Condition.cruds")
    assert found[0] == "user/Condition.rs"
    assert f"user/Condition.rs?category={condition}" in found
    assert f"user/Condition.cruds?category={condition}" in found


@pytest.mark.parametrize(("asked", "kept"), [("rs", "rs"), ("read", "read"), ("cud", "cud"), ("r", "r")])
def test_everything_may_be_narrowed_to_the_usual_types_with_the_same_permissions(
    asked: str, kept: str
) -> None:
    """[A9]"""
    assert _parts(f"user/*.{asked}") == [f"user/{type}.{kept}" for type in USUAL_TYPES]


def test_types_that_are_not_served_are_not_offered() -> None:
    (offer,) = offers(["patient/*.rs"], {"Patient", "Goal"})
    assert [part.text for part in offer.narrower] == ["patient/Patient.rs", "patient/Goal.rs"]


def test_what_changes_the_record_says_so() -> None:
    reads, writes = offers(["patient/Goal.rs", "patient/Goal.cu"], TYPES)
    assert reads.explanation == ""
    assert "changes the record" in writes.explanation


def test_reading_is_told_from_searching() -> None:
    """[S3]"""
    read, search = offers(["patient/Goal.r", "patient/Goal.s"], TYPES)
    assert "cannot search" in read.explanation
    assert "cannot open" in search.explanation


_TYPES = st.sampled_from(["*", *CATEGORIES, "Patient", "Goal"])
_PERMISSIONS = st.one_of(
    st.sets(st.sampled_from("cruds"), min_size=1).map(
        lambda found: "".join(one for one in "cruds" if one in found)
    ),
    st.sampled_from(["read", "write", "*"]),
)
_CRITERIA = st.sampled_from(["", "", "?_id=1", "?_id=1,2&_security=R"])


@given(
    context=st.sampled_from(["patient", "user", "system"]),
    type=_TYPES,
    permissions=_PERMISSIONS,
    criteria=_CRITERIA,
)
def test_each_narrower_scope_is_understood_and_within_what_was_asked(
    context: str, type: str, permissions: str, criteria: str
) -> None:
    """[A9]"""
    text = f"{context}/{type}.{permissions}{criteria}"
    (offer,) = offers([text], TYPES)
    found = [part.text for part in offer.narrower]
    assert len(found) == len(set(found))
    assert text not in found
    for part in found:
        assert parse(part, TYPES) is not None
        assert narrowed(part, text, TYPES) == part


@given(st.text(max_size=200) | st.from_regex(r"\A(launch/|patient/)[ -~]{0,30}\Z"))
def test_any_text_has_words(text: str) -> None:
    assert isinstance(in_words(text), str)
    assert offers([text], TYPES)[0].text == text


def _parts(text: str) -> list[str]:
    (offer,) = offers([text], TYPES)
    assert isinstance(offer, Offer)
    return [part.text for part in offer.narrower]
