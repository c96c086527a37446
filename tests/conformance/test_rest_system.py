"""
capabilities, batch, transaction and operations, as the specification has them.

conformance/rest.md is the list. https://hl7.org/fhir/R4/http.html#capabilities,
https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conformance.listening import Listening
from tests.server.running import a_patient, an_observation, issues_of

SYSTEM = "http://hospital.example/conformance"


def a_bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def a_post(resource: dict[str, Any], full_url: str | None = None, **request: str) -> dict[str, Any]:
    asked = {"method": "POST", "url": resource["resourceType"], **request}
    entry: dict[str, Any] = {"resource": resource, "request": asked}
    return entry if full_url is None else {"fullUrl": full_url, **entry}


def a_put(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **request}}


def a_request(method: str, url: str, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}}


def urn(id: str) -> str:
    """The fullUrl of a resource that has no id yet; `id` is 32 hexadecimal digits."""
    return f"urn:uuid:{id[:8]}-{id[8:12]}-4{id[13:16]}-8{id[17:20]}-{id[20:]}"


def identified(value: str, **stated: Any) -> dict[str, Any]:
    return a_patient(identifier=[{"system": SYSTEM, "value": value}], **stated)


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


async def test_the_capabilities_are_told_to_anybody(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        answer = await nobody.get("/metadata")
    statement = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert (statement["resourceType"], statement["kind"]) == ("CapabilityStatement", "instance")
    assert (statement["fhirVersion"], statement["implementation"]["url"]) == ("4.0.1", server.base)
    assert "application/fhir+json" in statement["format"]


async def test_the_capabilities_name_the_interactions_that_are_there(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        [rest] = (await nobody.get("/metadata")).json()["rest"]
    assert {each["code"] for each in rest["interaction"]} == {
        "transaction",
        "batch",
        "search-system",
        "history-system",
    }
    of = {resource["type"]: resource for resource in rest["resource"]}
    codes = {each["code"] for each in of["Patient"]["interaction"]}
    assert codes >= {"read", "vread", "update", "delete", "history-instance", "history-type", "create"}
    assert of["Patient"]["versioning"] == "versioned-update"
    assert of["Patient"]["updateCreate"] is True
    assert "create" not in {each["code"] for each in of["AuditEvent"]["interaction"]}


async def test_the_capabilities_tell_of_conditional_interactions(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        [rest] = (await nobody.get("/metadata")).json()["rest"]
    patient = next(resource for resource in rest["resource"] if resource["type"] == "Patient")
    assert patient["conditionalCreate"] is True
    assert patient["conditionalUpdate"] is True
    assert patient["conditionalDelete"] == "single"
    assert patient["conditionalRead"] == "full-support"
    assert "patch" in {each["code"] for each in patient["interaction"]}


async def test_the_capabilities_have_an_etag(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        first, again = await nobody.get("/metadata"), await nobody.get("/metadata")
    assert first.headers["etag"] == again.headers["etag"]


async def test_the_capabilities_can_be_had_in_part(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        summary = (await nobody.get("/metadata?_summary=true")).json()
        elements = (await nobody.get("/metadata?_elements=fhirVersion")).json()
    assert summary["fhirVersion"] == elements["fhirVersion"] == "4.0.1"
    assert "rest" not in elements
    assert elements["meta"]["tag"][-1]["code"] == "SUBSETTED"


async def test_the_capabilities_have_a_mode_for_terminology(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        terminology = await nobody.get("/metadata?mode=terminology")
        full = await nobody.get("/metadata?mode=full")
    assert terminology.json()["resourceType"] == "TerminologyCapabilities"
    assert full.json()["resourceType"] == "CapabilityStatement"


async def test_there_is_no_fhir_beside_the_base(server: Listening) -> None:
    async with server.bearing(None) as nobody:
        for address in ("/metadata", "/fhir2/metadata", "/fhir/fhir/metadata"):
            answer = await nobody.get(f"{server.base.removesuffix('/fhir')}{address}")
            assert answer.status_code in (401, 404), address


async def test_a_transaction_answers_one_entry_for_each_in_their_order(
    server: Listening, client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}-old", json=a_patient(id=f"{id}-old"))
    bundle = a_bundle(
        "transaction",
        a_request("GET", f"Patient/{id}"),
        a_put(a_patient(id=id, gender="male")),
        a_post(a_patient()),
        a_request("DELETE", f"Patient/{id}-old"),
    )
    answer = await client.post("/", json=bundle)
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert "location" not in answer.headers
    assert answer.json()["type"] == "transaction-response"
    assert statuses(answer) == ["200", "201", "201", "204"]
    read, put, posted, deleted = answer.json()["entry"]
    # GET is processed after PUT, wherever it stands.
    assert read["resource"]["gender"] == "male"
    assert put["response"]["location"] == f"{server.base}/Patient/{id}/_history/1"
    assert put["response"]["etag"] == 'W/"1"'
    assert "lastModified" in put["response"]
    assert posted["response"]["location"].startswith(f"{server.base}/Patient/")
    assert deleted["response"]["etag"] == 'W/"2"'


async def test_a_transaction_without_entries_is_no_error(client: httpx.AsyncClient) -> None:
    for kind in ("transaction", "batch"):
        answer = await client.post("/", json={"resourceType": "Bundle", "type": kind})
        assert (answer.status_code, answer.json()["type"]) == (200, f"{kind}-response")


@pytest.mark.parametrize(
    ("status", "entry"),
    [
        (400, a_request("GET", "Nonsense/1")),
        (404, a_request("DELETE", "Patient/not-there")),
        (405, a_put({"resourceType": "AuditEvent", "id": "x"})),
        (412, a_put(a_patient(id="not-there-either"), ifMatch='W/"1"')),
        (422, a_post(a_patient(gender="nonsense"))),
    ],
)
async def test_a_transaction_with_one_wrong_entry_keeps_nothing_and_answers_one_outcome(
    client: httpx.AsyncClient, id: str, status: int, entry: dict[str, Any]
) -> None:
    bundle = a_bundle("transaction", a_put(a_patient(id=id)), entry)
    refused = await client.post("/", json=bundle)
    assert refused.status_code == status
    [first, *_] = issues_of(refused)
    assert first["expression"][0].startswith("Bundle.entry[1]")
    assert (await client.get(f"/Patient/{id}")).status_code == 404


async def test_two_entries_on_one_resource_are_refused(client: httpx.AsyncClient, id: str) -> None:
    for second in (a_put(a_patient(id=id)), a_request("DELETE", f"Patient/{id}")):
        refused = await client.post("/", json=a_bundle("transaction", a_put(a_patient(id=id)), second))
        assert refused.status_code in (400, 422)
        assert issues_of(refused)[0]["expression"][0].startswith("Bundle.entry[")


async def test_a_read_in_a_transaction_is_answered_in_its_entry_even_when_it_finds_nothing(
    client: httpx.AsyncClient, id: str
) -> None:
    """Reads come last, when the writes are committed: what they find is told, and undoes nothing."""
    bundle = a_bundle("transaction", a_request("GET", "Patient/not-there"), a_put(a_patient(id=id)))
    answer = await client.post("/", json=bundle)
    assert statuses(answer) == ["404", "201"]
    assert answer.json()["entry"][0]["response"]["outcome"]["issue"][0]["code"] == "not-found"


async def test_references_between_entries_are_those_of_what_was_made(
    client: httpx.AsyncClient, id: str
) -> None:
    """https://hl7.org/fhir/R4/http.html#trules: in circles, in narrative, and of a version."""
    one, other = urn(id), urn(id[::-1])
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{other}">x</a></div>'
    first = a_patient(
        link=[{"other": {"reference": other}, "type": "seealso"}], text={"status": "generated", "div": div}
    )
    second = a_patient(link=[{"other": {"reference": one}, "type": "seealso"}])
    outside = an_observation("elsewhere", focus=[{"reference": one}])
    answer = await client.post(
        "/", json=a_bundle("transaction", a_post(outside), a_post(first, one), a_post(second, other))
    )
    assert statuses(answer) == ["201", "201", "201"]
    observed, made, also = [
        (await client.get(entry["response"]["location"])).json() for entry in answer.json()["entry"]
    ]
    assert made["link"][0]["other"]["reference"] == f"Patient/{also['id']}"
    assert also["link"][0]["other"]["reference"] == f"Patient/{made['id']}"
    assert observed["focus"][0]["reference"] == f"Patient/{made['id']}"
    assert f'href="Patient/{also["id"]}"' in made["text"]["div"]
    # What is not in the Bundle is left as it is.
    assert observed["subject"]["reference"] == "Patient/elsewhere"


async def test_an_entry_is_conditional_as_its_request_says(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    same = a_request("GET", f"Patient/{id}", ifNoneMatch='W/"1"')
    later = a_request("GET", f"Patient/{id}", ifModifiedSince="2100-01-01T00:00:00Z")
    held = a_put(a_patient(id=id, active=True), ifMatch='W/"1"')
    assert statuses(await client.post("/", json=a_bundle("batch", same, later))) == ["304", "304"]
    assert statuses(await client.post("/", json=a_bundle("transaction", held))) == ["200"]
    refused = await client.post("/", json=a_bundle("transaction", held))
    assert refused.status_code == 412


async def test_a_conditional_create_in_a_transaction_makes_one_resource(
    client: httpx.AsyncClient, id: str
) -> None:
    header = {"ifNoneExist": f"identifier={SYSTEM}|{id}"}
    entries = [a_post(identified(id), **header), a_post(identified(id), **header)]
    first = await client.post("/", json=a_bundle("transaction", *entries))
    again = await client.post("/", json=a_bundle("transaction", *entries))
    assert sorted(statuses(first)) == ["200", "201"]
    assert statuses(again) == ["200", "200"]
    assert len((await client.get(f"/Patient?identifier={SYSTEM}|{id}")).json()["entry"]) == 1


async def test_conditional_updates_and_deletes_stand_in_a_transaction(
    client: httpx.AsyncClient, id: str
) -> None:
    url = f"Patient?identifier={SYSTEM}|{id}"
    update = {"resource": identified(id), "request": {"method": "PUT", "url": url}}
    assert statuses(await client.post("/", json=a_bundle("transaction", update))) == ["201"]
    assert statuses(await client.post("/", json=a_bundle("transaction", update))) == ["200"]
    delete = a_request("DELETE", url)
    assert statuses(await client.post("/", json=a_bundle("transaction", delete))) == ["204"]
    assert "entry" not in (await client.get(f"/{url}")).json()


async def test_a_patch_stands_in_a_transaction(client: httpx.AsyncClient, id: str) -> None:
    """https://hl7.org/fhir/R4/fhirpatch.html: the patch is a Parameters resource"""
    narrative = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">male</div>'}
    await client.put(f"/Patient/{id}", json=a_patient(id=id, gender="male", text=narrative))
    part = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "female"},
    ]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    entry = {"resource": patch, "request": {"method": "PATCH", "url": f"Patient/{id}"}}
    assert statuses(await client.post("/", json=a_bundle("transaction", entry))) == ["200"]
    read = (await client.get(f"/Patient/{id}")).json()
    assert (read["gender"], "text" in read) == ("female", False)


async def test_a_conditional_reference_is_resolved_by_a_search(client: httpx.AsyncClient, id: str) -> None:
    """https://hl7.org/fhir/R4/http.html#trules"""
    reference = {"reference": f"Patient?identifier={SYSTEM}|{id}"}
    bundle = a_bundle("transaction", a_post(an_observation(id, subject=reference)))
    none = await client.post("/", json=bundle)
    created = (await client.post("/Patient", json=identified(id))).json()
    one = await client.post("/", json=bundle)
    await client.post("/Patient", json=identified(id))
    several = await client.post("/", json=bundle)
    assert (none.status_code, several.status_code) == (412, 412)
    assert issues_of(none)[0]["expression"][0].startswith("Bundle.entry[0]")
    assert statuses(one) == ["201"]
    observation = (await client.get(one.json()["entry"][0]["response"]["location"])).json()
    assert observation["subject"]["reference"] == f"Patient/{created['id']}"


async def test_reads_searches_and_heads_stand_in_a_transaction(client: httpx.AsyncClient, id: str) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    bundle = a_bundle(
        "transaction",
        a_request("GET", f"Patient/{id}"),
        a_request("GET", f"Patient/{id}/_history/1"),
        a_request("GET", f"Patient?_id={id}"),
        a_request("GET", f"Patient/{id}/_history"),
        a_request("HEAD", f"Patient/{id}"),
    )
    answer = await client.post("/", json=bundle)
    assert statuses(answer) == ["200"] * 5
    read, version, search, history, head = answer.json()["entry"]
    assert read["resource"] == version["resource"]
    assert search["resource"]["type"] == "searchset"
    assert history["resource"]["type"] == "history"
    assert "resource" not in head


async def test_prefer_says_whether_entries_answer_resources(client: httpx.AsyncClient, id: str) -> None:
    for prefer, has in (("minimal", False), ("representation", True)):
        bundle = a_bundle("transaction", a_post(a_patient()), a_put(a_patient(id=f"{id}-{prefer}")))
        answer = await client.post("/", json=bundle, headers={"Prefer": f"return={prefer}"})
        assert ["resource" in entry for entry in answer.json()["entry"]] == [has, has]


async def test_each_entry_of_a_batch_succeeds_or_fails_alone(client: httpx.AsyncClient, id: str) -> None:
    bundle = a_bundle(
        "batch",
        a_put(a_patient(id=id)),
        a_post(a_patient(gender="nonsense")),
        a_request("GET", "Patient/not-there"),
        a_request("DELETE", f"Patient/{id}"),
    )
    answer = await client.post("/", json=bundle)
    assert answer.json()["type"] == "batch-response"
    first, wrong, absent, _ = answer.json()["entry"]
    assert [entry["response"]["status"][:3] for entry in (first, wrong, absent)] == ["201", "422", "404"]
    for entry in (wrong, absent):
        assert entry["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert wrong["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]


async def test_an_entry_can_do_nothing_that_its_rest_twin_could_not(server: Listening, id: str) -> None:
    async with server.as_("system/Patient.r") as reader:
        refused = await reader.post("/", json=a_bundle("transaction", a_put(a_patient(id=id))))
        batch = await reader.post("/", json=a_bundle("batch", a_put(a_patient(id=id))))
    assert refused.status_code == 403
    assert statuses(batch) == ["403"]


async def test_a_bundle_that_is_neither_batch_nor_transaction_is_refused_by_name(
    client: httpx.AsyncClient,
) -> None:
    """https://hl7.org/fhir/R4/http.html#other-bundles"""
    for kind in ("history", "collection", "document", "message", "searchset"):
        refused = await client.post("/", json=a_bundle(kind))
        assert refused.status_code == 400
        assert issues_of(refused)[0]["expression"] == ["Bundle.type"]


async def test_an_operation_takes_no_form(client: httpx.AsyncClient, id: str) -> None:
    """What a form could say stands in the query, too."""
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = await client.post(f"/Patient/{id}/$validate", content="mode=update", headers=form)
    assert refused.status_code == 415
    assert issues_of(refused)[0]["code"] == "not-supported"


async def test_an_operation_that_is_none_is_not_found(client: httpx.AsyncClient, id: str) -> None:
    for method, address in (
        ("POST", "/$nonsense"),
        ("GET", "/$nonsense"),
        ("POST", "/Patient/$nonsense"),
        ("GET", f"/Patient/{id}/$nonsense"),
    ):
        refused = await client.request(method, address)
        assert refused.status_code == 404, address
        assert issues_of(refused)


async def test_an_operation_takes_parameters_or_a_resource_and_answers_one(
    client: httpx.AsyncClient, id: str
) -> None:
    """https://hl7.org/fhir/R4/operations.html#request"""
    await client.put(f"/Patient/{id}", json=a_patient(id=id))
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": a_patient(gender="nonsense")}],
    }
    answers = [
        await client.post("/Patient/$validate", json=parameters),
        await client.post("/Patient/$validate", json=a_patient(gender="nonsense")),
        await client.get(f"/Patient/{id}/$validate"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    for answer in answers:
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert answers[0].json()["issue"][0]["expression"] == ["Patient.gender"]


async def test_an_operation_that_changes_nothing_is_asked_by_get_or_post(
    client: httpx.AsyncClient, id: str
) -> None:
    await client.put(f"/Patient/{id}", json=a_patient(id=id, meta={"tag": [{"code": "x"}]}))
    by_get = await client.get(f"/Patient/{id}/$meta")
    by_post = await client.post(f"/Patient/{id}/$meta")
    for answer in (by_get, by_post):
        assert answer.status_code == 200
        [parameter] = answer.json()["parameter"]
        assert (parameter["name"], parameter["valueMeta"]["tag"]) == ("return", [{"code": "x"}])
