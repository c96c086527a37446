"""$validate over HTTP. https://hl7.org/fhir/R4/resource-operation-validate.html"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.server.hiding import a_consent
from tests.server.running import Server, a_patient, an_observation, issues_of

BASE_PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
FORBIDDEN_BY_CONSENT = {"type": "deny"}


def asking(*parameters: dict[str, Any]) -> dict[str, Any]:
    listed = {"parameter": list(parameters)} if parameters else {}
    return {"resourceType": "Parameters", **listed}


def of(resource: dict[str, Any]) -> dict[str, Any]:
    return {"name": "resource", "resource": resource}


def mode(code: str) -> dict[str, Any]:
    return {"name": "mode", "valueCode": code}


def told(answer: httpx.Response) -> list[tuple[str, str, str]]:
    """Severity, code and element of each issue, of an answer with status 200."""
    assert answer.status_code == 200, answer.text
    return [
        (issue["severity"], issue["code"], "".join(issue.get("expression", [])))
        for issue in issues_of(answer)
    ]


NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
ALL_OK = [("information", "informational", "")]
BROKEN = a_patient(gender="x", contact=[{"gender": "male"}], nothing=1, text=NARRATIVE)


async def test_a_resource_that_breaks_no_rule_is_all_ok(server: Server) -> None:
    async with server.as_() as client:
        answer = await client.post("/Patient/$validate", json=a_patient(text=NARRATIVE))
    assert told(answer) == ALL_OK


@pytest.mark.parametrize("wrapped", [False, True])
async def test_all_issues_come_at_once_with_their_elements_and_keys(server: Server, wrapped: bool) -> None:
    body = asking(of(BROKEN)) if wrapped else BROKEN
    async with server.as_() as client:
        answer = await client.post("/Patient/$validate", json=body)
        refused = await client.post("/Patient", json=BROKEN)
    assert told(answer) == [
        ("error", "code-invalid", "Patient.gender"),
        ("error", "invariant", "Patient.contact[0]"),
        ("error", "structure", "Patient.nothing"),
    ]
    assert "(pat-1)" in issues_of(answer)[1]["diagnostics"]
    assert refused.status_code == 422
    assert issues_of(refused) == issues_of(answer)


async def test_warnings_are_told_beside_the_all_ok(server: Server) -> None:
    """dom-6 is best practice: no write tells it."""
    async with server.as_() as client:
        answer = await client.post("/Patient/$validate", json=a_patient())
        assert (await client.post("/Patient", json=a_patient())).status_code == 201
    assert told(answer) == [("warning", "invariant", "Patient"), *ALL_OK]
    assert "(dom-6)" in issues_of(answer)[0]["diagnostics"]


async def test_another_type_than_the_address_is_an_issue(server: Server) -> None:
    async with server.as_() as client:
        answer = await client.post("/Observation/$validate", json=a_patient(text=NARRATIVE))
    assert ("error", "structure", "resourceType") in told(answer)


async def test_a_parameters_is_validated_as_one_by_its_own_type(server: Server) -> None:
    plain = asking({"name": "x", "valueString": "y"})
    async with server.as_() as client:
        assert told(await client.post("/Parameters/$validate", json=plain)) == ALL_OK
        wrapped = await client.post("/Parameters/$validate", json=asking(of(plain), mode("create")))
        assert told(wrapped) == ALL_OK
        broken = await client.post("/Parameters/$validate", json=asking({"name": "x"}))
        assert told(broken) == [("error", "invariant", "Parameters.parameter[0]")]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (BASE_PATIENT, ALL_OK),
        (f"{BASE_PATIENT}|4.0.1", ALL_OK),
        ("http://hl7.org/fhir/StructureDefinition/DomainResource", ALL_OK),
        ("http://hl7.org/fhir/StructureDefinition/Observation", [("error", "invalid", "")]),
        (f"{BASE_PATIENT}|5.0.0", [("error", "not-found", "")]),
        ("http://hl7.org/fhir/StructureDefinition/bp", [("error", "not-found", "")]),
        ("http://a.example/profile", [("error", "not-found", "")]),
    ],
)
async def test_a_profile_is_judged_or_told_not_to_be_known(
    server: Server, profile: str, expected: list[tuple[str, str, str]]
) -> None:
    patient = a_patient(text=NARRATIVE)
    async with server.as_() as client:
        body = asking(of(patient), {"name": "profile", "valueUri": profile})
        assert told(await client.post("/Patient/$validate", json=body)) == expected
        by_query = await client.post("/Patient/$validate", params={"profile": profile}, json=patient)
        assert told(by_query) == expected


async def test_a_profile_that_is_claimed_and_not_known_is_a_warning(server: Server) -> None:
    patient = a_patient(text=NARRATIVE, meta={"profile": [BASE_PATIENT, "http://a.example/profile"]})
    async with server.as_() as client:
        answer = await client.post("/Patient/$validate", json=patient)
    assert told(answer) == [("warning", "not-found", "Patient.meta.profile[1]"), *ALL_OK]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("Patient/$validate", None),
        ("Patient/$validate", asking()),
        ("Patient/$validate", asking(mode("create"))),
        ("Patient/$validate", asking(of(a_patient()), mode("nonsense"))),
        ("Patient/$validate", asking(of(a_patient()), mode("update"))),
        ("Patient/$validate", asking(mode("delete"))),
        ("Patient/$validate", asking(mode("profile"))),
        ("Patient/$validate", asking(of(a_patient()), of(a_patient()))),
        ("Patient/$validate", asking(of(a_patient()), {"name": "other", "valueCode": "x"})),
        ("Patient/$validate", asking(of(a_patient()), {"name": "mode", "resource": a_patient()})),
        ("Patient/$validate", asking({"name": "resource", "valueCode": "x"})),
        ("Patient/$validate?mode=create&mode=create", a_patient()),
        ("Patient/$validate?nonsense=1", a_patient()),
        ("Patient/1/$validate", asking(of(a_patient(id="1")), mode("create"))),
        ("Patient/1/$validate", asking(of(a_patient(id="1")), mode("profile"))),
        ("Patient/1/$validate", asking(mode("update"))),
    ],
)
async def test_what_cannot_be_asked_is_refused(server: Server, path: str, body: Any) -> None:
    async with server.as_() as client:
        answer = await client.request("POST", f"/{path}", **({} if body is None else {"json": body}))
    assert answer.status_code == 400, answer.text
    assert issues_of(answer)


async def test_parameters_that_break_rules_themselves_are_refused(server: Server) -> None:
    async with server.as_() as client:
        answer = await client.post(
            "/Patient/$validate", json=asking(of(a_patient()), {"name": "mode", "nonsense": 1})
        )
        unread = await client.post(
            "/Patient/$validate", content=b"{", headers={"Content-Type": "application/fhir+json"}
        )
    assert answer.status_code == 422
    assert unread.status_code == 400


async def test_what_is_stored_is_validated_without_being_sent(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        for method in ("GET", "POST"):
            answer = await client.request(method, "/Patient/p1/$validate")
            assert told(answer) == [("warning", "invariant", "Patient"), *ALL_OK]
        by_profile = await client.get(f"/Patient/p1/$validate?mode=profile&profile={BASE_PATIENT}")
        assert told(by_profile)[-1:] == ALL_OK
        unknown = await client.get("/Patient/p1/$validate?mode=profile&profile=http://a.example/x")
        assert ("error", "not-found", "") in told(unknown)
        assert (await client.get("/Patient/absent/$validate")).status_code == 404
        await client.delete("/Patient/p1")
        assert (await client.get("/Patient/p1/$validate")).status_code == 410


async def test_a_create_is_rehearsed_and_nothing_is_created(server: Server) -> None:
    patient = a_patient(id="p1", text=NARRATIVE)
    async with server.as_() as client:
        await client.put("/Patient/p1", json=patient)
        answer = await client.post("/Patient/$validate?mode=create", json=patient)
        # The server gives ids, so that of somebody else is no obstacle.
        assert told(answer) == [("information", "informational", "Patient.id"), *ALL_OK]
        found = await client.get("/Patient?_total=accurate&_summary=count")
        assert found.json()["total"] == 1


async def test_an_update_is_rehearsed_as_it_would_be_refused(server: Server) -> None:
    patient = a_patient(id="p1", text=NARRATIVE)
    rehearsing = "/Patient/p1/$validate?mode=update"
    async with server.as_() as client:
        assert told(await client.post(rehearsing, json=patient)) == ALL_OK
        assert (await client.get("/Patient/p1")).status_code == 404
        await client.put("/Patient/p1", json=patient)
        assert told(await client.post(rehearsing, json=patient)) == ALL_OK
        other = await client.post(rehearsing, json=patient | {"id": "p2"})
        assert told(other) == [("error", "invalid", "Patient.id")]
        late = await client.post(rehearsing, json=patient, headers={"If-Match": 'W/"7"'})
        assert told(late) == [("error", "conflict", "")]
        assert (await client.get("/Patient/p1")).headers["etag"] == 'W/"1"'


async def test_a_delete_is_rehearsed_and_nothing_is_deleted(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        answer = await client.post("/Patient/p1/$validate", json=asking(mode("delete")))
        assert told(answer) == ALL_OK
        assert told(await client.get("/Patient/p1/$validate?mode=delete")) == ALL_OK
        assert told(await client.get("/Patient/absent/$validate?mode=delete")) == [("error", "not-found", "")]
        assert (await client.get("/Patient/p1")).status_code == 200


async def test_a_rehearsal_needs_the_scope_of_the_write(server: Server) -> None:
    async with server.as_("system/Patient.r") as client:
        answer = await client.post("/Patient/$validate?mode=create", json=a_patient(text=NARRATIVE))
    assert told(answer) == [("error", "forbidden", "")]


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("system/Patient.c", 200),
        ("system/Patient.u", 200),
        ("system/Patient.r", 200),
        ("system/Patient.s", 403),
        ("system/Patient.d", 403),
        ("system/Observation.cruds", 403),
    ],
)
async def test_it_takes_a_right_to_create_update_or_read_the_type(
    server: Server, scope: str, status: int
) -> None:
    async with server.as_(scope) as client:
        answer = await client.post("/Patient/$validate", json=a_patient())
    assert answer.status_code == status


async def test_what_is_stored_takes_the_right_to_read_it(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
    async with server.as_("system/Patient.cu") as client:
        assert (await client.get("/Patient/p1/$validate")).status_code == 403


@pytest.mark.parametrize("asked", ["", "?mode=delete", "?mode=profile"])
async def test_hidden_looks_absent(server: Server, asked: str) -> None:
    async with server.as_(purpose="HOPERAT") as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        await client.put("/Patient/p2", json=a_patient(id="p2"))
        await client.put("/Consent/c2", json=a_consent("p2", "c2", FORBIDDEN_BY_CONSENT))
    async with server.as_("user/*.cruds", user="Practitioner/7") as client:
        hidden = await client.get(f"/Patient/p2/$validate{asked}")
        absent = await client.get(f"/Patient/p9/$validate{asked}")
    assert hidden.status_code == absent.status_code
    assert hidden.text.replace("p2", "p9") == absent.text
    assert issues_of(hidden)[0]["code"] == "not-found"


async def test_an_update_of_what_is_hidden_looks_like_that_of_what_is_absent(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Observation/o2", json=an_observation("p2", id="o2"))
    async with server.as_("patient/*.cruds", patient="p1") as client:
        answers = [
            await client.post(
                f"/Observation/{id}/$validate?mode=update", json=an_observation("p1", id=id, text=NARRATIVE)
            )
            for id in ("o2", "o9")
        ]
    assert told(answers[0]) == [("error", "not-found", "")]
    assert answers[0].text.replace("o2", "o9") == answers[1].text


async def test_it_is_recorded_as_an_operation(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        await client.get("/Patient/p1/$validate?mode=profile")
        await client.post("/Patient/$validate", json=a_patient())
        events = await client.get("/AuditEvent?entity=Patient/p1&_count=50")
    stored, sent = [record for record in await server.records() if record.interaction == "$validate"]
    assert (stored.targets[0].reference, stored.patients) == ("Patient/p1", ("p1",))
    assert stored.query == "$validate?mode=profile"
    assert (sent.targets, sent.patients, sent.outcome) == ((), (), "success")
    subtypes = [
        subtype["code"] for entry in events.json()["entry"] for subtype in entry["resource"]["subtype"]
    ]
    assert {"operation", "$validate"} <= set(subtypes)


async def test_digits_and_large_bodies_are_no_matter(server: Server) -> None:
    entries = [{"resource": an_observation("p1", text=NARRATIVE)} for _ in range(400)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    observation = (
        json.dumps(an_observation("p1", text=NARRATIVE))[:-1] + ', "valueQuantity": {"value": 0.1e-7}}'
    )
    headers = {"Content-Type": "application/fhir+json"}
    async with server.as_() as client:
        assert told(await client.post("/Bundle/$validate", json=bundle)) == ALL_OK
        answer = await client.post("/Observation/$validate", content=observation, headers=headers)
        assert told(answer) == ALL_OK


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "Patient/$nonsense", 404),
        ("POST", "$validate", 404),
        ("POST", "Nonsense/$validate", 404),
        ("GET", "Patient/1/2/$validate", 404),
        ("PUT", "Patient/$validate", 405),
        ("GET", "Patient/$validate", 405),
        ("GET", "Patient/1/$meta-add", 405),
        ("POST", "Patient/$meta-add", 404),
    ],
)
async def test_an_operation_is_where_it_is_defined(
    server: Server, method: str, path: str, status: int
) -> None:
    async with server.as_() as client:
        answer = await client.request(method, f"/{path}")
    assert answer.status_code == status
    assert issues_of(answer)


async def test_a_write_tells_its_warnings_where_an_outcome_is_preferred(server: Server) -> None:
    value_set = {"resourceType": "ValueSet", "status": "draft", "name": "not a name"}
    preferring = {"Prefer": "return=OperationOutcome"}
    entry = {"resource": value_set, "request": {"method": "POST", "url": "ValueSet"}}
    async with server.as_() as client:
        answer = await client.post("/ValueSet", json=value_set, headers=preferring)
        assert answer.status_code == 201
        assert [issue["severity"] for issue in issues_of(answer)] == ["warning", "information"]
        assert issues_of(answer)[0]["diagnostics"].endswith("(vsd-0)")
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        responses = (await client.post("/", json=bundle)).json()
    (issue,) = responses["entry"][0]["response"]["outcome"]["issue"]
    assert issue["expression"] == ["ValueSet"]


async def test_xml_is_validated_and_answered_in_xml(server: Server) -> None:
    patient = '<Patient xmlns="http://hl7.org/fhir"><contact><gender value="x"/></contact></Patient>'
    wrapped = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="resource"/>'
        f"<resource>{patient}</resource></parameter></Parameters>"
    )
    headers = {"Content-Type": "application/fhir+xml"}
    async with server.as_() as client:
        for body in (patient, wrapped):
            answer = await client.post("/Patient/$validate", content=body, headers=headers)
            assert {issue for issue in told(answer) if issue[0] == "error"} == {
                ("error", "code-invalid", "Patient.contact[0].gender"),
                ("error", "invariant", "Patient.contact[0]"),
            }
        as_xml = await client.post(
            "/Patient/$validate", content=patient, headers=headers | {"Accept": "application/fhir+xml"}
        )
    assert as_xml.text.count("<issue>") == 3
