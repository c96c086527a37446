"""https://hl7.org/fhir/R4/http.html#capabilities, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_server.r4.validation import validate
from fhir_server.r4.xml import from_xml
from tests.server.running import Server, a_patient, issues_of, serving


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("", "CapabilityStatement"),
        ("?mode=full", "CapabilityStatement"),
        ("?mode=normative", "CapabilityStatement"),
        ("?mode=terminology", "TerminologyCapabilities"),
    ],
)
async def test_each_mode_is_answered_in_both_formats(server: Server, mode: str, told: str) -> None:
    async with server.bearing(None) as client:
        json = await client.get(f"/metadata{mode}", headers={"Accept": "application/fhir+json"})
        xml = await client.get(f"/metadata{mode}", headers={"Accept": "application/fhir+xml"})
    assert json.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert xml.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    assert json.json()["resourceType"] == told
    assert from_xml(xml.content) == json.json()
    assert not validate(json.json())


@pytest.mark.parametrize(
    "query", ["mode=all", "mode=full&mode=full", "name=x", "_summary=count", "_elements=x"]
)
async def test_what_cannot_be_asked_is_refused(server: Server, query: str) -> None:
    async with server.bearing(None) as client:
        refused = await client.get(f"/metadata?{query}")
        lenient = await client.get("/metadata?name=x", headers={"Prefer": "handling=lenient"})
    assert refused.status_code == 400
    assert issues_of(refused)[0]["code"] == "invalid"
    assert lenient.status_code == 200


async def test_a_client_that_has_it_is_told_so(server: Server) -> None:
    async with server.bearing(None) as client:
        first = await client.get("/metadata")
        etag = first.headers["etag"]
        again = await client.get("/metadata", headers={"If-None-Match": etag})
        head = await client.head("/metadata", headers={"If-None-Match": etag})
        other = await client.get("/metadata?mode=normative", headers={"If-None-Match": etag})
        xml = await client.get("/metadata?_format=xml", headers={"If-None-Match": etag})
        options = await client.options("", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (head.status_code, head.content) == (304, b"")
    assert [answer.status_code for answer in (other, xml, options)] == [200, 200, 200]
    assert other.headers["etag"] != etag


async def test_processes_that_began_at_other_times_have_one_etag(
    server: Server, mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path) as second,
        server.bearing(None) as one,
        second.bearing(None) as other,
    ):
        answers = [await one.get("/metadata"), await other.get("/metadata")]
    assert answers[0].json()["date"] != answers[1].json()["date"]
    assert answers[0].headers["etag"] == answers[1].headers["etag"]


async def test_options_of_the_base_is_the_statement(server: Server) -> None:
    async with server.bearing(None) as client:
        told = await client.options("")
        statement = (await client.get("/metadata")).json()
    assert told.json() == statement
    assert set(told.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


async def test_many_forms_are_answered_and_few_are_kept(server: Server) -> None:
    names = ("software", "implementation", "kind", "date", "status", "format", "patchFormat", "fhirVersion")
    async with server.bearing(None) as client:
        for first in names:
            for second in names:
                answer = await client.get(f"/metadata?_elements={first},{second}")
                assert {first, second} <= answer.json().keys()
                assert "rest" not in answer.json()


async def test_a_batch_is_answered_what_a_get_is(server: Server) -> None:
    async def entry(url: str) -> dict[str, Any]:
        bundle = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": url}}],
        }
        async with server.as_() as client:
            answer = await client.post("", json=bundle)
        told: dict[str, Any] = answer.json()["entry"][0]["resource"]
        return told

    async with server.bearing(None) as client:
        statement = (await client.get("/metadata")).json()
        terminology = (await client.get("/metadata?mode=terminology&_elements=software")).json()
    assert await entry("metadata") == statement
    assert await entry("metadata?mode=terminology&_elements=software") == terminology


async def test_a_delete_of_several_is_said_where_it_is_allowed(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, conditional_delete_max=5) as server,
        server.as_() as client,
    ):
        statement = (await client.get("/metadata")).json()
        for number in range(2):
            await client.put(f"/Patient/p{number}", json=a_patient(id=f"p{number}", active=True))
        deleted = await client.delete("/Patient?active=true")
    patient = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Patient")
    assert patient["conditionalDelete"] == "multiple"
    assert deleted.status_code in (200, 204)
