"""
Launches, from the EHR and by themselves, and what their tokens tell.

The ids in brackets are those of requirements: A1, A7, T1, T2, T5 to T8, O1, O2 and R48 to R210.

https://hl7.org/fhir/smart-app-launch/app-launch.html,
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.server.launching import (
    AUTHORIZE,
    PASSWORD,
    a_person,
    add_app,
    ask,
    decided,
    given,
    launch,
    launched,
    launching,
)
from tests.server.running import BASE, Server
from tests.smart.browsing import ORIGIN, App, Form, forms, told_to_app

PUBLIC = App("public")
CONFIDENTIAL = App("confidential", secret="s3cret-of-confidential")
APPS = {"public": PUBLIC, "confidential": CONFIDENTIAL}
CONTEXTS: list[dict[str, Any]] = [
    {"reference": "ImagingStudy/123"},
    {"reference": "ImagingStudy/124", "role": "launch"},
    {"reference": "Patient/bob", "role": "https://ehr.example/roles/donor"},
    {"reference": "Questionnaire/9", "type": "Questionnaire", "role": "urn:ehr:form"},
    {"canonical": "https://forms.example/Questionnaire/phq|2.0", "type": "Questionnaire"},
    {"identifier": {"system": "https://ehr.example/order", "value": "7"}, "type": "ServiceRequest"},
]
"""Each kind of what may stand in fhirContext."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with launching(mongodb_url, tmp_path_factory.mktemp("data")) as running:
        yield running


async def status(server: Server, token: str, path: str) -> int:
    async with server.bearing(token) as http:
        return (await http.get(path)).status_code


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("method", ["get", "post"])
async def test_an_app_asks_by_get_and_by_a_form(server: Server, method: str, name: str) -> None:
    """[A1, T2, R48, R49, R53, R56, R57, R73]"""
    app, person = APPS[name], a_person(server)
    asked = app.asks("launch/patient patient/*.rs")
    if method == "get":
        page = await person.opens(AUTHORIZE, params=asked)
    else:
        page = await person.posts(Form(AUTHORIZE, "post", list(asked.items())))
    answer = await person.allows(await person.logs_in(page, "ann", PASSWORD))
    told = told_to_app(answer)
    assert answer.headers["location"].startswith(f"{app.redirect_uri}?")
    assert told.keys() == {"code", "state", "iss"}
    got = (await ask(server, **app.redeems(told["code"]))).json()
    assert got["patient"] == "ann"
    assert await status(server, got["access_token"], "/Patient/ann") == httpx.codes.OK


@pytest.mark.parametrize(
    "state", ["x", "a b&c=d", "ä+%2B%20", "https://evil.example/?a=b#c", '<b>"', "z" * 2_000]
)
async def test_the_state_comes_back_as_it_was(server: Server, state: str) -> None:
    """[A7, R59]"""
    app = replace(PUBLIC, state=state)
    assert told_to_app(await decided(server, app, "ann", "patient/*.rs"))["state"] == state


async def test_the_state_comes_back_with_a_refusal_too(server: Server) -> None:
    """[A9, R54, R59]"""
    person = a_person(server)
    page = await person.opens(AUTHORIZE, params=PUBLIC.asks())
    page = await person.logs_in(page, "ann", PASSWORD)
    [form] = [one for one in forms(page) if ("decision", "deny") in one.buttons]
    told = told_to_app(await person.posts(form, decision="deny"))
    assert (told["error"], told["state"]) == ("access_denied", PUBLIC.state)
    assert "code" not in told


@pytest.mark.parametrize("name", APPS)
async def test_all_that_the_ehr_says_of_a_launch_comes_with_the_token(server: Server, name: str) -> None:
    """[A8, T2, T6, T7, R83, R149, R154, R168-R184, R186, R188, R189, R192, R194]"""
    context = {
        "patient": "ann",
        "encounter": "ann-visit",
        "fhirContext": CONTEXTS,
        "need_patient_banner": False,
        "intent": "reconcile-medications",
        "smart_style_url": "https://ehr.example/style.json",
        "tenant": "clinic-3",
    }
    scope = "launch launch/patient launch/encounter user/*.rs"
    app = APPS[name]
    made = await launched(server, app, user="Practitioner/dora", **context)
    told = await given(server, app, "dora", scope, launch=made)
    assert {name: told[name] for name in context} == context
    assert set(told["scope"].split(" ")) == set(scope.split(" "))
    async with server.as_("__introspect") as http:
        answer = await http.post(f"{ORIGIN}/auth/introspect", data={"token": told["access_token"]})
    assert {name: answer.json()[name] for name in context} == context


async def test_a_launch_is_opaque_and_leads_to_the_address_that_the_app_registered(server: Server) -> None:
    """[A8]"""
    both = [(await launch(server, PUBLIC, patient="ann")).json() for _ in range(2)]
    assert both[0]["launch"] != both[1]["launch"]
    assert all(len(one["launch"]) >= 43 and "ann" not in one["launch"] for one in both)
    elsewhere = await launch(server, PUBLIC, launch_uri="https://evil.example/launch")
    assert elsewhere.status_code == httpx.codes.BAD_REQUEST


async def test_an_ehr_has_to_be_one(server: Server) -> None:
    """[A8, S10, R217]"""
    for token, expected in ((server.token("system/*.cruds"), 403), ("nonsense", 401)):
        async with server.bearing(token) as http:
            answer = await http.post(f"{ORIGIN}/auth/launch", json={"client_id": "public"})
        assert answer.status_code == expected


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"type": "Questionnaire"},
        {"reference": "https://ehr.example/fhir/ImagingStudy/1"},
        {"reference": "Nonsense/1"},
        {"reference": "Patient/ann"},
        {"reference": "Patient/ann", "role": "launch"},
        {"reference": "Encounter/ann-visit"},
        {"reference": "ImagingStudy/1", "role": ""},
        {"reference": "ImagingStudy/1", "role": "donor"},
        {"canonical": "Questionnaire/1"},
        {"identifier": "7"},
        {"identifier": {"value": "7", "weight": 1.5}},
        {"identifier": {"value": "7", "period": {"start": 1.5}}},
        {"identifier": {"value": "7", "system": 10**30}},
        {"identifier": {"value": "7", "use": "official", "use_": "x"}},
        {"reference": "ImagingStudy/1", "type": "imagingstudy"},
    ],
    ids=str,
)
async def test_what_is_no_context_is_refused(server: Server, context: dict[str, Any]) -> None:
    """[T6, R172, R177, R178, R187, R188, R190]"""
    answer = await launch(server, PUBLIC, patient="ann", fhirContext=[context])
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "fhirContext" in answer.json()["error_description"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("need_patient_banner", "true"),
        ("smart_style_url", "style.json"),
        ("smart_style_url", "javascript:alert(1)"),
        ("intent", 7),
        ("tenant", ["a"]),
        ("patient", "Patient/ann"),
        ("encounter", 1),
        ("fhirContext", {"reference": "ImagingStudy/1"}),
        ("unheard_of", "x"),
    ],
)
async def test_each_member_has_its_type(server: Server, name: str, value: Any) -> None:
    """[T7, R170, R171, R173-R176]"""
    answer = await launch(server, PUBLIC, **{"patient": "ann", name: value})
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert name in answer.json()["error_description"]


@pytest.mark.parametrize("intent", ["reconcile-medications", "https://ehr.example/intents#7", "Überweisung"])
async def test_an_intent_means_what_ehr_and_app_agreed_on(server: Server, intent: str) -> None:
    """[T7, R174, R194]: it goes through as it is."""
    made = await launched(server, PUBLIC, patient="ann", intent=intent)
    told = await given(server, PUBLIC, "dora", "launch patient/*.rs", launch=made)
    assert told["intent"] == intent


@pytest.mark.parametrize("banner", [True, False])
async def test_whether_the_app_shows_whose_record_it_is_the_ehr_says(server: Server, *, banner: bool) -> None:
    """[T7, R173, R359]"""
    made = await launched(server, PUBLIC, patient="ann", need_patient_banner=banner)
    told = await given(server, PUBLIC, "dora", "launch patient/*.rs", launch=made)
    assert told["need_patient_banner"] is banner


async def test_launched_by_itself_the_app_shows_whose_record_it_is(server: Server) -> None:
    """[T7, R173]"""
    assert (await given(server, PUBLIC, "dora", "patient/*.rs"))["need_patient_banner"] is True


@pytest.mark.parametrize("scope", ["patient/*.rs", "launch/patient", "launch/patient user/*.rs openid"])
async def test_who_sees_many_patients_chooses_the_one_in_context(server: Server, scope: str) -> None:
    """[T5, R149, R164, R165, R167, R361, R363]"""
    told = await given(server, PUBLIC, "dora", scope)
    assert told["patient"] == "ann"
    assert set(told["scope"].split(" ")) >= set(scope.split(" "))


async def test_a_launch_without_a_patient_has_one_before_a_scope_of_patients_is_granted(
    server: Server,
) -> None:
    """[T5, R164]"""
    made = await launched(server, PUBLIC, user="Practitioner/dora")
    told = await given(server, PUBLIC, "dora", "launch patient/Patient.rs", launch=made)
    assert told["patient"] == "ann"
    assert await status(server, told["access_token"], "/Patient/bob") == httpx.codes.NOT_FOUND


async def test_without_a_patient_there_is_no_scope_of_patients(server: Server) -> None:
    """[T5, R164]"""
    nothing = told_to_app(await decided(server, PUBLIC, "nils", "launch/patient patient/*.rs"))
    assert nothing["error"] == "access_denied"
    told = await given(server, PUBLIC, "nils", "openid launch/patient patient/*.rs")
    assert told["scope"] == "openid"
    assert "patient" not in told
    assert await status(server, told["access_token"], "/Patient") == httpx.codes.FORBIDDEN


async def test_a_context_that_there_is_not_is_not_granted(server: Server) -> None:
    """[R149, R163, R364]: nobody chooses an encounter here, and it is not promised."""
    told = await given(server, PUBLIC, "ann", "launch/patient launch/encounter patient/*.rs")
    assert "launch/encounter" not in told["scope"].split(" ")
    assert "encounter" not in told


async def test_a_related_person_has_the_patient_they_speak_for(server: Server) -> None:
    """[T5, R164]"""
    told = await given(server, PUBLIC, "rita", "patient/*.rs")
    assert told["patient"] == "ann"
    assert await status(server, told["access_token"], "/Observation/ann-lab") == httpx.codes.OK
    assert await status(server, told["access_token"], "/Observation/bob-lab") == httpx.codes.NOT_FOUND


@pytest.mark.parametrize("name", ["ann", "dora", "rita"])
async def test_an_app_that_may_learns_who_logged_in(server: Server, name: str) -> None:
    """[O1, R80, R198, R200, R203, R205, R207, R209, R210]"""
    scope = "openid fhirUser user/*.rs"
    told = await given(server, PUBLIC, name, scope, nonce="n-0S6_WzA2Mj")
    async with server.bearing(told["access_token"]) as http:
        keys = KeySet.import_key_set((await http.get(f"{ORIGIN}/auth/jwks")).json())
        openid = (await http.get("/.well-known/openid-configuration")).json()
        found = jwt.decode(told["id_token"], keys, algorithms=["RS256"])
        person = await http.get(found.claims["fhirUser"])
    claims = found.claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (openid["issuer"], "public", "n-0S6_WzA2Mj")
    assert claims["fhirUser"].startswith(f"{BASE}/")
    assert person.status_code == httpx.codes.OK
    kinds = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person")
    assert person.json()["resourceType"] in kinds


async def test_who_is_nobody_in_fhir_has_no_fhir_user(server: Server) -> None:
    """[O2, R197]"""
    told = await given(server, PUBLIC, "nils", "openid fhirUser")
    assert told["scope"] == "openid"
    async with server.bearing(None) as http:
        keys = KeySet.import_key_set((await http.get(f"{ORIGIN}/auth/jwks")).json())
    assert "fhirUser" not in jwt.decode(told["id_token"], keys, algorithms=["RS256"]).claims


async def test_without_openid_there_is_no_id_token(server: Server) -> None:
    """[O1, R200]"""
    assert "id_token" not in await given(server, PUBLIC, "ann", "fhirUser patient/*.rs")


@pytest.mark.parametrize("name", ["aud", "resource"])
async def test_this_server_is_named_as_aud_or_as_resource(server: Server, name: str) -> None:
    """[A4, A5, R96]: with a slash at its end or another case of its host, it is the same server."""
    for base in (BASE, f"{BASE}/", BASE.replace("fhir.example", "FHIR.example")):
        asked = {"aud": None, name: base}
        assert "code" in told_to_app(await decided(server, PUBLIC, "ann", "patient/*.rs", **asked))


async def test_what_a_launch_scope_asks_for_is_granted_when_the_launch_tells_it(server: Server) -> None:
    """[T6, R154, R159, R177]: and a context of the type comes along in another role, too."""
    asked = "launch launch/imagingstudy launch/servicerequest launch/questionnaire?role=urn:ehr:form"
    not_told = "launch/medicationrequest launch/questionnaire?role=urn:ehr:other"
    app = App("imaging", redirect_uri="https://imaging.example/")
    await add_app(server, app, f"user/*.rs {asked} {not_told}")
    made = await launched(server, app, patient="ann", fhirContext=CONTEXTS)
    told = await given(server, app, "dora", f"user/*.rs {asked} {not_told}", launch=made)
    assert set(told["scope"].split(" ")) == {"user/*.rs", *asked.split(" ")}
    assert told["fhirContext"] == CONTEXTS


async def test_an_organisation_decides_for_the_clinicians_whom_its_ehr_launches_an_app_for(
    server: Server,
) -> None:
    app = App("decided", redirect_uri="https://decided.example/")
    await add_app(server, app, decided_for_clinicians=True)
    person = a_person(server)
    made = await launched(server, app, patient="ann")
    page = await person.opens(AUTHORIZE, params=app.asks("launch patient/*.rs", launch=made))
    code = told_to_app(await person.logs_in(page, "dora", PASSWORD))["code"]
    assert (await ask(server, **app.redeems(code))).json()["scope"] == "launch patient/*.rs"


@pytest.mark.parametrize(("name", "launches"), [("ann", True), ("dora", False)], ids=["a patient", "no EHR"])
async def test_it_decides_for_nobody_else(server: Server, name: str, *, launches: bool) -> None:
    app, person = App("decided", redirect_uri="https://decided.example/"), a_person(server)
    told = {"launch": await launched(server, app, patient="ann")} if launches else {}
    scope = "launch patient/*.rs" if launches else "user/*.rs"
    page = await person.opens(AUTHORIZE, params=app.asks(scope, **told))
    page = await person.logs_in(page, name, PASSWORD)
    assert person.where.startswith(f"{ORIGIN}/auth/consent")


async def test_a_user_who_may_not_see_the_encounter_is_not_told_it(server: Server) -> None:
    """[A8, S7]"""
    async with server.as_() as http:
        visit = {
            "resourceType": "Encounter",
            "id": "gone",
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": {"reference": "Patient/ann"},
        }
        assert (await http.put("/Encounter/gone", json=visit)).status_code == httpx.codes.CREATED
        made = await launched(server, PUBLIC, patient="ann", encounter="gone")
        assert (await http.delete("/Encounter/gone")).is_success
    person = a_person(server)
    page = await person.opens(AUTHORIZE, params=PUBLIC.asks("launch patient/*.rs", launch=made))
    told = told_to_app(await person.logs_in(page, "dora", PASSWORD))
    assert told["error"] == "access_denied"
