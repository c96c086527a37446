"""Scopes, compartments and consent, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.server.running import Server, a_patient, an_observation, issues_of


async def _two_patients(server: Server) -> None:
    async with server.as_() as client:
        for id in ("p1", "p2"):
            await client.put(f"/Patient/{id}", json=a_patient(id=id))
            await client.put(f"/Observation/o-{id}", json=an_observation(id, id=f"o-{id}"))
        organization = {"resourceType": "Organization", "id": "org", "name": "General"}
        await client.put("/Organization/org", json=organization)


def assert_absent(response: httpx.Response, absent: httpx.Response) -> None:
    """What is hidden answers as what never was, names aside."""
    assert response.status_code == absent.status_code == 404
    assert issues_of(response)[0]["code"] == issues_of(absent)[0]["code"]
    assert response.headers.keys() == absent.headers.keys()


async def test_a_patient_scope_sees_its_compartment_and_directories(server: Server) -> None:
    await _two_patients(server)
    async with server.as_("patient/*.rs", patient="p1") as client:
        assert (await client.get("/Patient/p1")).status_code == 200
        assert (await client.get("/Observation/o-p1")).status_code == 200
        assert (await client.get("/Organization/org")).status_code == 200
        for hidden in ("/Patient/p2", "/Observation/o-p2", "/Observation/o-p2/_history/1"):
            absent = hidden.replace("p2", "p9")
            assert_absent(await client.get(hidden), await client.get(absent))


async def test_what_was_deleted_is_gone_only_for_who_could_see_it(server: Server) -> None:
    await _two_patients(server)
    async with server.as_() as client:
        await client.delete("/Observation/o-p1")
        await client.delete("/Observation/o-p2")
    async with server.as_("patient/*.rs", patient="p1") as client:
        assert (await client.get("/Observation/o-p1")).status_code == 410
        assert_absent(await client.get("/Observation/o-p2"), await client.get("/Observation/o-p9"))


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("system/Observation.rs", "GET", "/Patient/p1", 403),
        ("system/Patient.s", "GET", "/Patient/p1", 403),
        ("system/Patient.r", "DELETE", "/Patient/p1", 403),
        ("system/Patient.r", "GET", "/Patient/p1/_history", 200),
        ("system/Patient.r", "GET", "/Patient/_history", 403),
        ("system/Patient.s", "GET", "/Patient/_history", 200),
        ("system/Patient.r", "GET", "/Patient", 403),
        ("system/Patient.read", "GET", "/Patient", 200),
        ("system/Patient.cruds", "GET", "/AuditEvent", 403),
    ],
)
async def test_a_scope_that_does_not_cover_it_is_forbidden(
    server: Server, scope: str, method: str, path: str, status: int
) -> None:
    await _two_patients(server)
    async with server.as_(scope) as client:
        assert (await client.request(method, path)).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/Observation", an_observation("p1"), 201),
        ("POST", "/Observation", an_observation("p2"), 403),
        ("POST", "/Patient", a_patient(), 403),
        ("POST", "/Organization", {"resourceType": "Organization", "name": "x"}, 403),
        ("PUT", "/Observation/o-p1", an_observation("p1", id="o-p1", status="amended"), 200),
        ("PUT", "/Observation/o-p1", an_observation("p2", id="o-p1"), 403),
        ("PUT", "/Observation/o-p2", an_observation("p1", id="o-p2"), 404),
        ("PUT", "/Observation/mine", an_observation("p1", id="mine"), 404),
        ("DELETE", "/Observation/o-p2", None, 404),
        ("DELETE", "/Observation/o-p9", None, 404),
        ("DELETE", "/Observation/o-p1", None, 204),
    ],
)
async def test_a_patient_scope_writes_within_its_compartment(
    server: Server, method: str, path: str, body: Any, status: int
) -> None:
    await _two_patients(server)
    async with server.as_("patient/*.cruds", patient="p1") as client:
        written = await client.request(method, path, json=body)
    assert written.status_code == status


@pytest.mark.parametrize(
    ("user", "status"), [("Practitioner/7", 200), ("Patient/p1", 404), ("Patient/p2", 200), ("Device/1", 404)]
)
async def test_a_user_scope_reaches_what_the_user_may_see(server: Server, user: str, status: int) -> None:
    await _two_patients(server)
    async with server.as_("user/*.cruds", user=user) as client:
        assert (await client.get("/Observation/o-p2")).status_code == status


async def test_provenance_and_binary_follow_what_they_are_about(server: Server) -> None:
    await _two_patients(server)
    provenance = {
        "resourceType": "Provenance",
        "id": "v",
        "target": [{"reference": "Observation/o-p2"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }
    binary = {
        "resourceType": "Binary",
        "id": "b",
        "contentType": "text/plain",
        "data": "aGk=",
        "securityContext": {"reference": "Observation/o-p2"},
    }
    async with server.as_() as client:
        assert (await client.put("/Provenance/v", json=provenance)).status_code == 201
        assert (await client.put("/Binary/b", json=binary)).status_code == 201
    for patient, status in (("p2", 200), ("p1", 404)):
        async with server.as_("patient/*.rs", patient=patient) as client:
            assert (await client.get("/Provenance/v")).status_code == status
            assert (await client.get("/Binary/b")).status_code == status


async def test_a_group_shows_a_patient_no_other_member(server: Server) -> None:
    await _two_patients(server)
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "quantity": 2,
        "member": [{"entity": {"reference": f"Patient/{id}"}} for id in ("p1", "p2")],
    }
    async with server.as_() as client:
        assert (await client.put("/Group/g", json=group)).status_code == 201
    async with server.as_("patient/*.rs", patient="p1") as client:
        seen = await client.get("/Group/g")
    assert seen.status_code == 200
    assert "p2" not in seen.text
    assert "quantity" not in seen.json()
    assert [member["entity"]["reference"] for member in seen.json()["member"]] == ["Patient/p1"]


def a_consent(patient: str, kind: str, **provision: Any) -> dict[str, Any]:
    concept = {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
        ]
    }
    return {
        "resourceType": "Consent",
        "id": f"c-{patient}",
        "status": "active",
        "scope": concept,
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "policyRule": {"text": "x"},
        "provision": {"type": kind, **provision},
    }


async def _consent(server: Server, consent: dict[str, Any]) -> None:
    async with server.as_() as client:
        written = await client.put(f"/Consent/{consent['id']}", json=consent)
        assert written.status_code == 201, written.text


async def test_a_denial_hides_everything_of_the_patient_at_once(server: Server) -> None:
    await _two_patients(server)
    await _consent(server, a_consent("p2", "deny"))
    async with server.as_("user/*.cruds", user="Practitioner/7") as client:
        for hidden in ("/Patient/p2", "/Observation/o-p2", "/Observation/o-p2/_history/1", "/Consent/c-p2"):
            assert_absent(await client.get(hidden), await client.get(hidden.replace("p2", "p9")))
        assert (await client.get("/Observation/o-p1")).status_code == 200
        assert (await client.post("/Observation", json=an_observation("p2"))).status_code == 403
        assert (await client.delete("/Observation/o-p2")).status_code == 404
    async with server.as_("patient/*.rs", patient="p2", user="Patient/p2") as client:
        assert (await client.get("/Observation/o-p2")).status_code == 200


async def test_a_denial_for_one_actor_leaves_the_others(server: Server) -> None:
    await _two_patients(server)
    role = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    }
    actor = [{"role": role, "reference": {"reference": "Practitioner/7"}}]
    await _consent(server, a_consent("p2", "deny", actor=actor))
    for user, status in (("Practitioner/7", 404), ("Practitioner/8", 200)):
        async with server.as_("user/*.rs", user=user) as client:
            assert (await client.get("/Observation/o-p2")).status_code == status


async def test_a_denial_that_is_over_denies_nothing(server: Server) -> None:
    await _two_patients(server)
    await _consent(server, a_consent("p2", "deny", period={"start": "2020-01-01", "end": "2020-12-31"}))
    async with server.as_("user/*.rs", user="Practitioner/7") as client:
        assert (await client.get("/Observation/o-p2")).status_code == 200


async def test_without_a_consent_the_base_policy_decides_by_purpose(server: Server) -> None:
    await _two_patients(server)
    for purpose, status in (("TREAT", 200), ("HPAYMT", 200), ("HMARKT", 404)):
        async with server.as_("user/*.rs", user="Practitioner/7", purpose=purpose) as client:
            assert (await client.get("/Observation/o-p2")).status_code == status
            assert (await client.get("/Organization/org")).status_code == 200
