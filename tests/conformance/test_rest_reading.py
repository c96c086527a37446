"""
read and vread, as the specification has them; conformance/rest.md is the list.

https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx

from tests.conformance.listening import Listening
from tests.server.running import a_patient, issues_of


async def test_a_read_answers_the_current_version_with_its_metadata_in_headers(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male"))
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="female"))
    answer = await client.get(f"/Patient/{id}")
    resource = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert (resource["resourceType"], resource["id"], resource["gender"]) == ("Patient", id, "female")
    assert answer.headers["etag"] == f'W/"{resource["meta"]["versionId"]}"' == 'W/"2"'
    stated = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    assert parsedate_to_datetime(answer.headers["last-modified"]) == stated.replace(microsecond=0)
    assert "location" not in answer.headers


async def test_what_was_never_there_is_not_found(client: httpx.AsyncClient, id: str) -> None:
    for address in (f"/Patient/{id}", f"/Patient/{id}/_history/1", f"/Nonsense/{id}", f"/patient/{id}"):
        answer = await client.get(address)
        assert answer.status_code == 404, address
        assert issues_of(answer)[0]["code"] == "not-found"


async def test_what_was_deleted_is_gone_in_its_current_version_and_in_that_of_the_deletion(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    await client.delete(f"/Patient/{id}")
    for address in (f"/Patient/{id}", f"/Patient/{id}/_history/2"):
        answer = await client.get(address)
        assert answer.status_code == 410, address
        assert issues_of(answer)[0]["code"] == "deleted"
    assert (await client.get(f"/Patient/{id}/_history/1")).status_code == 200


async def test_a_vread_answers_the_version_that_it_names(client: httpx.AsyncClient, id: str) -> None:
    for gender in ("male", "female"):
        await client.put(f"/Patient/{id}", json=a_patient(id=id, gender=gender))
    for version, gender in (("1", "male"), ("2", "female")):
        answer = await client.get(f"/Patient/{id}/_history/{version}")
        resource = answer.json()
        assert answer.status_code == 200
        assert answer.headers["etag"] == f'W/"{version}"'
        assert "last-modified" in answer.headers
        assert "location" not in answer.headers
        assert (resource["id"], resource["meta"]["versionId"], resource["gender"]) == (id, version, gender)
    assert (await client.get(f"/Patient/{id}/_history/3")).status_code == 404


async def test_a_read_of_the_version_that_the_client_has_is_not_modified(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    await client.put(f"/Patient/{id}", json=a_patient(id=id, active=True))
    same = await client.get(f"/Patient/{id}", headers={"If-None-Match": 'W/"2"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", 'W/"2"')
    assert "content-type" not in same.headers
    older = await client.get(f"/Patient/{id}", headers={"If-None-Match": 'W/"1"'})
    assert (older.status_code, older.json()["active"]) == (200, True)


async def test_a_read_of_what_has_not_changed_since_is_not_modified(
    client: httpx.AsyncClient, id: str
) -> None:
    written = await client.put(f"/Patient/{id}", json=a_patient(id=id))
    moment = parsedate_to_datetime(written.headers["last-modified"])
    since = {
        "at that time": (moment, 304),
        "later": (moment + timedelta(days=1), 304),
        "before": (moment - timedelta(days=1), 200),
    }
    for when, (stated, status) in since.items():
        header = {"If-Modified-Since": format_datetime(stated, usegmt=True)}
        assert (await client.get(f"/Patient/{id}", headers=header)).status_code == status, when


async def test_if_none_match_goes_before_if_modified_since(client: httpx.AsyncClient, id: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#name-if-modified-since"""
    written = await client.put(f"/Patient/{id}", json=a_patient(id=id))
    headers = {"If-Modified-Since": written.headers["last-modified"], "If-None-Match": 'W/"9"'}
    assert (await client.get(f"/Patient/{id}", headers=headers)).status_code == 200


async def test_a_part_of_a_resource_says_that_it_is_one(client: httpx.AsyncClient, id: str) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
    narrative = {"status": "generated", "div": div}
    patient = a_patient(id=id, text=narrative, gender="male", contact=[{"name": {"text": "x"}}])
    await client.put(f"/Patient/{id}", json=patient)
    shown = {
        query: (await client.get(f"/Patient/{id}?{query}")).json()
        for query in ("_summary=true", "_summary=text", "_summary=data", "_elements=gender", "_summary=false")
    }
    assert {query for query, resource in shown.items() if "tag" not in resource["meta"]} == {"_summary=false"}
    for query, resource in shown.items():
        if query != "_summary=false":
            assert resource["meta"]["tag"][-1]["code"] == "SUBSETTED", query
        assert ("text" in resource) == (query in ("_summary=text", "_summary=false")), query
        assert ("gender" in resource) == (query != "_summary=text"), query
        assert ("contact" in resource) == (query in ("_summary=data", "_summary=false")), query
    assert (await client.get(f"/Patient/{id}?_summary=nonsense")).status_code == 400


async def test_an_instance_that_the_caller_may_not_see_looks_like_one_that_is_not_there(
    server: Listening, client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    async with server.as_("patient/*.rs", patient="somebody") as confined:
        hidden = await confined.get(f"/Patient/{id}")
        absent = await confined.get(f"/Patient/{id[::-1]}")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace(id, "ID") == absent.text.replace(id[::-1], "ID")
