"""The interactions over HTTP: https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.server.running import BASE, Server, a_patient, an_observation, issues_of


async def test_a_created_resource_has_an_address_and_a_version(server: Server) -> None:
    """https://hl7.org/fhir/R4/http.html#create"""
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(id="mine", birthDate="1970-03-30"))
        assert created.status_code == 201
        body = created.json()
        assert body["id"] != "mine"
        assert created.headers["location"] == f"{BASE}/Patient/{body['id']}/_history/1"
        assert created.headers["etag"] == 'W/"1"'
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", created.headers["last-modified"])
        assert body["meta"]["versionId"] == "1"
        read = await client.get(f"/Patient/{body['id']}")
        assert read.status_code == 200
        assert read.content == created.content
        assert read.headers["content-type"] == "application/fhir+json; charset=utf-8"
        assert read.headers["cache-control"] == "no-store"


async def test_values_are_kept_literally(server: Server) -> None:
    """https://hl7.org/fhir/R4/datatypes.html#decimal"""
    literals = ["1.50", "0.1e-7", "1E5", "-0.0", "-0", "1.234567890123456789012345678901", "100"]
    text = ",".join(
        f'{{"code":{{"text":"a"}},"valueQuantity":{{"value":{literal}}}}}' for literal in literals
    )
    body = (
        '{"status":"final","resourceType":"Observation","code":{"text":"Grüße 你好 \\ud83d\\ude00"},'
        f'"component":[{text}],"_issued":{{"extension":[{{"url":"http://x.example","valueCode":"y"}}]}}}}'
    )
    async with server.as_() as client:
        created = await client.post(
            "/Observation", content=body, headers={"Content-Type": "application/fhir+json"}
        )
        assert created.status_code == 201, created.text
        read = await client.get(created.headers["location"])
        for literal in literals:
            assert f'"value":{literal}}}' in read.text
        assert list(read.json())[:2] == ["status", "resourceType"]
        assert read.json()["code"]["text"] == "Grüße 你好 😀"
        assert read.json()["_issued"]["extension"][0]["valueCode"] == "y"


async def test_an_update_makes_a_version_and_keeps_the_old_one(server: Server) -> None:
    """https://hl7.org/fhir/R4/http.html#update"""
    async with server.as_() as client:
        first = await client.put("/Patient/p1", json=a_patient(id="p1", gender="female"))
        assert (first.status_code, first.headers["etag"]) == (201, 'W/"1"')
        second = await client.put("/Patient/p1", json=a_patient(id="p1", gender="male"))
        assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
        assert (await client.get("/Patient/p1/_history/1")).json()["gender"] == "female"
        assert (await client.get("/Patient/p1/_history/2")).json()["gender"] == "male"
        assert (await client.get("/Patient/p1/_history/3")).status_code == 404


async def test_an_update_that_says_nothing_new_makes_no_version(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1", gender="female"))
        again = await client.put("/Patient/p1", json=a_patient(id="p1", gender="female"))
        assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')


async def test_the_id_in_the_body_must_be_that_of_the_address(server: Server) -> None:
    async with server.as_() as client:
        for body in (a_patient(id="p2"), a_patient()):
            refused = await client.put("/Patient/p1", json=body)
            assert refused.status_code == 400
            assert issues_of(refused)[0]["expression"] == ["Patient.id"]


async def test_if_match_guards_an_update(server: Server) -> None:
    """https://hl7.org/fhir/R4/http.html#concurrency"""
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1", gender="female"))
        stale = await client.put("/Patient/p1", json=a_patient(id="p1"), headers={"If-Match": 'W/"7"'})
        assert stale.status_code == 412
        held = await client.put("/Patient/p1", json=a_patient(id="p1"), headers={"If-Match": 'W/"1"'})
        assert held.status_code == 200
        absent = await client.put("/Patient/p9", json=a_patient(id="p9"), headers={"If-Match": 'W/"1"'})
        assert absent.status_code == 412
        wrong = await client.put("/Patient/p1", json=a_patient(id="p1"), headers={"If-Match": "seven"})
        assert wrong.status_code == 400


async def test_if_none_match_star_writes_only_what_is_new(server: Server) -> None:
    body, absent = a_patient(id="p1"), {"If-None-Match": "*"}
    async with server.as_() as client:
        assert (await client.put("/Patient/p1", json=body, headers=absent)).status_code == 201
        assert (await client.put("/Patient/p1", json=body, headers=absent)).status_code == 412
        request = {"method": "PUT", "url": "Patient/p1", "ifNoneMatch": "*"}
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": body, "request": request}],
        }
        assert (await client.post("/", json=bundle)).status_code == 412
        other = await client.put("/Patient/p1", json=body, headers={"If-None-Match": 'W/"1"'})
        assert other.status_code == 501
        await client.delete("/Patient/p1")
        assert (await client.put("/Patient/p1", json=body, headers=absent)).status_code == 201


async def test_no_update_is_lost_between_many_writers(server: Server) -> None:
    """A counter incremented by read and conditional PUT equals its successes."""

    async def increment(number: int) -> int:
        async with server.as_() as client:
            current = await client.get("/Basic/counter")
            count = current.json()["code"]["text"]
            body = {"resourceType": "Basic", "id": "counter", "code": {"text": str(int(count) + 1)}}
            written = await client.put(
                "/Basic/counter", json=body, headers={"If-Match": current.headers["etag"]}
            )
            assert written.status_code in (200, 412)
            return int(written.status_code == 200)

    async with server.as_() as client:
        body = {"resourceType": "Basic", "id": "counter", "code": {"text": "0"}}
        await client.put("/Basic/counter", json=body)
        successes = 0
        for _ in range(4):
            successes += sum(await asyncio.gather(*(increment(number) for number in range(8))))
        final = await client.get("/Basic/counter")
    assert final.json()["code"]["text"] == str(successes)
    assert final.headers["etag"] == f'W/"{successes + 1}"'


async def test_a_deleted_resource_is_gone_and_its_history_stays(server: Server) -> None:
    """https://hl7.org/fhir/R4/http.html#delete"""
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        deleted = await client.delete("/Patient/p1")
        assert (deleted.status_code, deleted.headers["etag"], deleted.content) == (204, 'W/"2"', b"")
        assert (await client.delete("/Patient/p1")).status_code == 204
        assert (await client.get("/Patient/p1")).status_code == 410
        assert (await client.get("/Patient/p1/_history/1")).status_code == 200
        assert (await client.get("/Patient/p1/_history/2")).status_code == 410
        assert (await client.delete("/Patient/unknown")).status_code == 404
        back = await client.put("/Patient/p1", json=a_patient(id="p1"))
        assert back.headers["etag"] == 'W/"3"'


async def test_a_read_is_conditional(server: Server) -> None:
    """https://hl7.org/fhir/R4/http.html#cread"""
    async with server.as_() as client:
        created = await client.put("/Patient/p1", json=a_patient(id="p1"))
        same = await client.get("/Patient/p1", headers={"If-None-Match": created.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        since = await client.get(
            "/Patient/p1", headers={"If-Modified-Since": created.headers["last-modified"]}
        )
        assert since.status_code == 304
        newer = await client.get("/Patient/p1", headers={"If-None-Match": 'W/"9"'})
        assert newer.status_code == 200


@pytest.mark.parametrize(
    ("prefer", "length"), [("minimal", 0), ("representation", None), ("OperationOutcome", None)]
)
async def test_prefer_says_what_comes_back(server: Server, prefer: str, length: int | None) -> None:
    """https://hl7.org/fhir/R4/http.html#ops"""
    async with server.as_() as client:
        created = await client.post("/Patient", json=a_patient(), headers={"Prefer": f"return={prefer}"})
        assert created.status_code == 201
        expected = {"minimal": None, "representation": "Patient"}.get(prefer, "OperationOutcome")
        assert (created.json()["resourceType"] if created.content else None) == expected
        assert length is None or len(created.content) == length


async def test_every_broken_rule_is_told_at_once_with_its_expression(server: Server) -> None:
    body = {
        "resourceType": "Patient",
        "gender": "unknown-code",
        "birthDate": "1970-13-01",
        "colour": "blue",
        "deceasedBoolean": True,
        "deceasedDateTime": "2020",
        "contact": [{"telecom": [{"system": "carrier-pigeon"}]}],
    }
    async with server.as_() as client:
        refused = await client.post("/Patient", json=body)
    assert refused.status_code == 422
    expressions = {expression for issue in issues_of(refused) for expression in issue["expression"]}
    assert {
        "Patient.gender",
        "Patient.birthDate",
        "Patient.colour",
        "Patient.contact[0].telecom[0].system",
    } <= expressions
    assert any("deceased" in expression for expression in expressions)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nonsense", 404),
        ("GET", "/Patient/has space", 404),
        ("GET", "/Patient/" + "x" * 65, 404),
        ("GET", "/Patient/1/extra/steps/here", 404),
        ("PATCH", "/Patient/1/_history", 405),
        ("PUT", "/", 405),
        ("DELETE", "/Patient/1/_history/1", 405),
        ("GET", "/Patient/$nonsense", 404),
        ("GET", "/$nonsense", 404),
        ("GET", "/Patient/1/_history/x", 404),
    ],
)
async def test_an_address_that_is_none_is_refused(
    server: Server, method: str, path: str, status: int
) -> None:
    async with server.as_() as client:
        refused = await client.request(method, path)
    assert refused.status_code == status
    assert issues_of(refused)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "application/fhir+xml"}, 200),
        ({"Accept": "application/fhir+turtle"}, 406),
        ({"Accept": "application/fhir+json; fhirVersion=3.0"}, 406),
        ({"Accept": "text/html, */*;q=0.1"}, 200),
        ({"Accept": "application/json"}, 200),
    ],
)
async def test_the_format_is_negotiated(server: Server, headers: dict[str, str], status: int) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        assert (await client.get("/Patient/p1", headers=headers)).status_code == status


async def test_a_body_must_be_readable(server: Server) -> None:
    async with server.as_() as client:
        turtle = await client.post(
            "/Patient", content="a", headers={"Content-Type": "application/fhir+turtle"}
        )
        assert turtle.status_code == 415
        wrong = await client.post("/Patient", json=an_observation("1"))
        assert wrong.status_code == 400


async def test_the_request_id_is_the_clients_when_it_is_a_word(server: Server) -> None:
    async with server.as_() as client:
        echoed = await client.get("/Patient/1", headers={"X-Request-Id": "abc-123"})
        assert echoed.headers["x-request-id"] == "abc-123"
        ours = await client.get("/Patient/1", headers={"X-Request-Id": "a b\tc"})
        assert re.fullmatch(r"[0-9a-f]{32}", ours.headers["x-request-id"])
    assert "abc-123" in {record.request_id for record in await server.records()}


async def test_capabilities_need_no_token_and_tell_what_is_served(server: Server) -> None:
    async with server.bearing(None) as client:
        statement = (await client.get("/metadata")).json()
    assert statement["fhirVersion"] == "4.0.1"
    resources = {resource["type"]: resource for resource in statement["rest"][0]["resource"]}
    assert len(resources) == 146
    assert "create" not in {interaction["code"] for interaction in resources["AuditEvent"]["interaction"]}
    codes = {parameter["name"] for parameter in resources["Observation"]["searchParam"]}
    assert {"patient", "code", "category", "date", "_id", "_lastUpdated"} <= codes


async def test_head_is_a_read_without_a_body(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p1", json=a_patient(id="p1"))
        head = await client.head("/Patient/p1")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", 'W/"1"')
