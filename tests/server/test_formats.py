"""
JSON and XML over HTTP, and what goes with them.

https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#parameters
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from fhir_server.r4.resource import from_text
from fhir_server.r4.xml import from_xml
from tests.server.running import BASE, Server, a_patient, an_observation, issues_of

XML = {"Accept": "application/fhir+xml"}
SENT_XML = {"Content-Type": "application/fhir+xml"}
SENT_JSON = {"Content-Type": "application/fhir+json"}
LITERALS = ("1.00", "0.1e-7", "123456789012345678", "-0")
OBSERVATION = (
    '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"Grüße & <b>"},"component":['
    + ",".join(f'{{"code":{{"text":"c"}},"valueQuantity":{{"value":{text}}}}}' for text in LITERALS)
    + "]}"
)


def read_xml(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    return from_xml(response.content)


async def test_a_resource_comes_and_goes_in_xml_digit_by_digit(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Observation/o", content=OBSERVATION.encode(), headers=SENT_JSON)
        xml = await client.get("/Observation/o", headers=XML)
        for literal in LITERALS:
            assert f'<value value="{literal}"/>' in xml.text
        assert xml.headers["etag"] == 'W/"1"'
        again = xml.text.replace('<id value="o"/>', '<id value="o2"/>')
        created = await client.put("/Observation/o2", content=again.encode(), headers=SENT_XML)
        assert created.status_code == 201
        assert created.headers["content-type"] == "application/fhir+json; charset=utf-8"
        one = from_text((await client.get("/Observation/o")).content)
        two = from_text((await client.get("/Observation/o2")).content)
    for told in (one, two):
        del told["meta"], told["id"]
    assert one == two


async def test_each_answer_comes_in_xml(server: Server) -> None:
    async with server.as_() as client:
        put = await client.put("/Patient/p", json=a_patient(id="p"), headers=XML)
        answers = [
            ("Patient", put),
            ("Patient", await client.post("/Patient", content=put.content, headers=XML | SENT_XML)),
            ("Patient", await client.get("/Patient/p", headers=XML)),
            ("Patient", await client.get("/Patient/p/_history/1", headers=XML)),
            ("Bundle", await client.get("/Patient?_id=p", headers=XML)),
            ("Bundle", await client.get("/Patient/p/_history", headers=XML)),
            ("Bundle", await client.post("/Patient/_search", data={"_format": "xml"})),
            ("CapabilityStatement", await client.get("/metadata", headers=XML)),
            ("OperationOutcome", await client.get("/Patient/none", headers=XML)),
            ("OperationOutcome", await client.get("/nowhere", headers=XML)),
            ("OperationOutcome", await client.post("/Patient", content=b"<", headers=XML | SENT_XML)),
        ]
    for type, answer in answers:
        assert read_xml(answer)["resourceType"] == type
    async with server.bearing(None) as nobody:
        assert read_xml(await nobody.get("/Patient/p", headers=XML))["issue"][0]["code"] == "login"


async def test_a_transaction_comes_and_goes_in_xml(server: Server) -> None:
    bundle = (
        '<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>'
        '<entry><fullUrl value="urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"/>'
        "<resource><Patient/></resource>"
        '<request><method value="POST"/><url value="Patient"/></request></entry>'
        '<entry><resource><Observation><status value="final"/><code><text value="c"/></code>'
        '<subject><reference value="urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"/></subject></Observation>'
        '</resource><request><method value="POST"/><url value="Observation"/></request></entry></Bundle>'
    )
    async with server.as_() as client:
        answered = await client.post("/", content=bundle, headers=XML | SENT_XML)
        told = read_xml(answered)
        assert [entry["response"]["status"] for entry in told["entry"]] == ["201 Created"] * 2
        patient, observation = (entry["response"]["location"] for entry in told["entry"])
        stored = (await client.get(observation)).json()
    assert f"{BASE}/{stored['subject']['reference']}" == patient.partition("/_history")[0]


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        ("", None, "json"),
        ("", "*/*", "json"),
        ("", "application/fhir+xml, application/fhir+json;q=0.9", "xml"),
        ("", "application/fhir+xml;q=0.5, application/fhir+json;q=0.6", "json"),
        ("", "application/fhir+json;q=0, */*", "xml"),
        ("?_format=xml", "application/fhir+json", "xml"),
        ("?_format=json", "application/fhir+xml", "json"),
        ("?_format=application/fhir%2Bxml", None, "xml"),
        ("?_format=application/fhir+xml", None, "xml"),
        ("?_format=xml", "text/turtle", "xml"),
    ],
)
async def test_the_format_is_that_of_the_parameter_then_of_accept(
    server: Server, path: str, accept: str | None, content_type: str
) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_patient(id="p"))
        del client.headers["accept"]
        answer = await client.get(f"/Patient/p{path}", headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"application/fhir+{content_type}; charset=utf-8"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("?_format=ttl", "application/fhir+json"),
        ("?_format=", None),
        ("?_format=%00", None),
        ("?_format=" + "x" * 5_000, None),
        ("?_format=json;fhirVersion=5.0", None),
        ("", "application/fhir+turtle"),
        ("", "application/fhir+json;fhirVersion=3.0"),
        ("", "*/*;q=0"),
        ("", ";;;,,,"),
        ("", "x/y," * 20_000),
        ("", "a" * 100_000),
    ],
)
async def test_no_format_in_common_is_told_in_json(server: Server, path: str, accept: str | None) -> None:
    async with server.as_() as client:
        before = len(await server.records())
        answer = await client.get(f"/Patient/p{path}", headers={"Accept": accept} if accept else {})
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert issues_of(answer)[0]["code"] == "not-supported"
    (record,) = (await server.records())[before:]
    assert record.status == 406


async def test_the_token_is_asked_for_before_the_format(server: Server) -> None:
    async with server.bearing(None) as client:
        assert (await client.get("/Patient/p?_format=ttl")).status_code == 401


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/fhir+xml", '<Patient xmlns="http://hl7.org/fhir"/>', 201),
        ("application/xml; charset=utf-8", '<Patient xmlns="http://hl7.org/fhir"/>', 201),
        ("text/xml", '<Patient xmlns="http://hl7.org/fhir"/>', 201),
        ("application/fhir+xml", '{"resourceType":"Patient"}', 400),
        ("application/fhir+json", '<Patient xmlns="http://hl7.org/fhir"/>', 400),
        ("application/fhir+xml", "<Patient/>", 400),
        ("application/fhir+xml", '<Patient xmlns="http://hl7.org/fhir"><x value="1"/></Patient>', 400),
        ("application/fhir+xml", "", 400),
        ("application/fhir+xml; charset=utf-16", "", 415),
        ("application/fhir+xml; fhirVersion=5.0", "", 415),
        ("application/fhir+turtle", "", 415),
        ("text/html", "", 415),
        ("", "", 415),
        ("x" * 5_000, "", 415),
    ],
)
async def test_a_body_is_what_its_content_type_says(
    server: Server, content_type: str, body: str, status: int
) -> None:
    async with server.as_() as client:
        answer = await client.post("/Patient", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert issues_of(answer)


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + ']><Patient xmlns="http://hl7.org/fhir"><language value="&i;"/></Patient>'
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><Patient xmlns="http://hl7.org/fhir"/>',
        "<a>" * 100_000,
        '<Patient xmlns="http://hl7.org/fhir">' + "<contact>" * 100_000,
        '<Patient xmlns="http://hl7.org/fhir"' + ' a="b"' * 100_000 + "/>",
        "\x00" * 1_000,
    ],
    ids=["entities", "external", "depth", "contacts", "attributes", "zeros"],
)
async def test_hostile_xml_is_refused_at_once(server: Server, body: str) -> None:
    started = time.process_time()
    async with server.as_() as client:
        answer = await client.post("/Patient", content=body, headers=SENT_XML)
    assert answer.status_code in (400, 422)
    assert issues_of(answer)
    assert time.process_time() - started < 2


async def test_what_xml_cannot_hold_is_told(server: Server) -> None:
    """U+FFFE is text in JSON, and no character in XML."""
    body = a_patient(id="p", name=[{"family": "\ufffe"}])
    async with server.as_() as client:
        written = await client.put("/Patient/p", json=body, headers=XML)
        assert written.status_code == 201
        assert written.headers["content-type"] == "application/fhir+json; charset=utf-8"
        assert (await client.get("/Patient/p")).status_code == 200
        for path in ("/Patient/p", "/Patient?_id=p"):
            refused = await client.get(path, headers=XML)
            assert refused.status_code == 406
            assert issues_of(refused)[0]["expression"][0].endswith("name[0].family")
        odd = await client.get("/Patient?%EF%BF%BE=1", headers=XML)
        assert odd.status_code == 400
        assert issues_of(odd)


async def test_a_page_in_xml_is_the_page_in_json(server: Server) -> None:
    """Larger than what is written at once."""
    async with server.as_() as client:
        for number in range(12):
            note = [{"text": "n" * 8_000}]
            await client.put(f"/Observation/o{number}", json=an_observation("p", id=f"o{number}", note=note))
        for query in ("", "&_pretty=true"):
            json = from_text((await client.get(f"/Observation?_sort=_id{query}")).content)
            xml = read_xml(await client.get(f"/Observation?_sort=_id{query}", headers=XML))
            assert len(xml["entry"]) == 12
            assert xml["entry"] == json["entry"]
            assert xml["link"] == json["link"]
        history = read_xml(await client.get("/Observation/_history", headers=XML))
    assert len(history["entry"]) == 12
    assert {entry["request"]["method"] for entry in history["entry"]} == {"PUT"}


async def test_writing_a_large_page_lets_others_have_their_turn(server: Server) -> None:
    async with server.as_() as client:
        for number in range(100):
            component = [{"code": {"text": f"{part}"}, "valueInteger": part} for part in range(30)]
            await client.put(
                f"/Observation/o{number}", json=an_observation("p", id=f"o{number}", component=component)
            )
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                started = time.perf_counter()
                await asyncio.sleep(0)
                longest = max(longest, time.perf_counter() - started)

        watching = asyncio.create_task(watch())
        started = time.perf_counter()
        page = await client.get("/Observation?_count=100", headers=XML)
        took = time.perf_counter() - started
        watching.cancel()
    assert len(read_xml(page)["entry"]) == 100
    assert longest < took / 2


async def test_pretty_is_for_people_and_changes_nothing(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Observation/o", content=OBSERVATION.encode(), headers=SENT_JSON)
        plain = await client.get("/Observation/o?_pretty=false")
        json = await client.get("/Observation/o?_pretty=true")
        xml = await client.get("/Observation/o?_pretty=true&_format=xml")
        refused = await client.get("/Observation/none?_pretty=true")
        wrong = await client.get("/Observation/o?_pretty=maybe")
    assert b"\n" not in plain.content
    assert json.text.startswith('{\n  "resourceType": "Observation",\n')
    assert from_text(json.content) == from_text(plain.content) == read_xml(xml)
    for literal in LITERALS:
        assert f'"value": {literal}\n' in json.text
    assert xml.text.count("\n") > 20
    assert refused.text.startswith("{\n")
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    "path",
    ["Patient/p", "Patient/p/_history/1", "Patient?_id=p", "Patient/p/_history", "Patient/none", "metadata"],
)
@pytest.mark.parametrize("query", ["", "_format=xml", "_pretty=true"])
async def test_head_says_how_long_get_would_be(server: Server, path: str, query: str) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_patient(id="p"))
        address = f"/{path}{'&' if '?' in path else '?'}{query}"
        plain = {"Accept-Encoding": "identity"}
        head, get = await client.head(address, headers=plain), await client.get(address, headers=plain)
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("format", ["json", "xml"])
async def test_prefer_says_what_a_write_answers(server: Server, format: str) -> None:
    """https://hl7.org/fhir/R4/http.html#ops"""

    async def answers(preference: str) -> list[httpx.Response]:
        told = {"Prefer": f"return={preference}", "Accept": f"application/fhir+{format}"}
        async with server.as_() as client:
            created = await client.post("/Patient", json=a_patient(), headers=told)
            id = created.headers["location"].removeprefix(f"{BASE}/Patient/").partition("/")[0]
            updated = await client.put(f"/Patient/{id}", json=a_patient(id=id, active=True), headers=told)
            deleted = await client.delete(f"/Patient/{id}", headers=told)
            return [created, updated, deleted]

    def body(answer: httpx.Response) -> dict[str, Any]:
        return from_xml(answer.content) if format == "xml" else from_text(answer.content)

    created, updated, deleted = await answers("minimal")
    assert [answer.status_code for answer in (created, updated, deleted)] == [201, 200, 204]
    assert [answer.content for answer in (created, updated, deleted)] == [b""] * 3
    assert "content-type" not in created.headers
    created, updated, deleted = await answers("representation")
    assert [body(answer)["resourceType"] for answer in (created, updated)] == ["Patient"] * 2
    assert (deleted.status_code, deleted.content) == (204, b"")
    answered = await answers("OperationOutcome")
    assert [answer.status_code for answer in answered] == [201, 200, 200]
    for number, answer in enumerate(answered, 1):
        assert body(answer)["resourceType"] == "OperationOutcome"
        assert body(answer)["issue"][0]["severity"] == "information"
        assert answer.headers["etag"] == f'W/"{number}"'


ALLOWED = {
    "": {"GET", "HEAD", "POST", "OPTIONS"},
    "metadata": {"GET", "HEAD", "OPTIONS"},
    "Patient": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"},
    "Patient/_search": {"POST", "OPTIONS"},
    "Patient/none": {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"},
    "Patient/none/_history": {"GET", "HEAD", "OPTIONS"},
    "_history": {"GET", "HEAD", "OPTIONS"},
}


@pytest.mark.parametrize("path", ALLOWED)
async def test_options_says_which_methods_an_address_has(server: Server, path: str) -> None:
    async with server.bearing(None) as client:
        answer = await client.options(f"/{path}")
    assert set(answer.headers["allow"].split(", ")) == ALLOWED[path]
    if path:
        assert (answer.status_code, answer.content) == (204, b"")
    else:
        assert answer.json()["resourceType"] == "CapabilityStatement"


async def test_options_says_nothing_of_what_is_stored(server: Server) -> None:
    async with server.as_() as client:
        await client.put("/Patient/p", json=a_patient(id="p"))
    async with server.bearing(None) as client:
        there, absent = await client.options("/Patient/p"), await client.options("/Patient/q")
        nowhere = [await client.options(f"/{path}") for path in ("Nothing", "Patient/p/q/r", "$x")]
    assert (there.status_code, there.headers["allow"]) == (absent.status_code, absent.headers["allow"])
    assert [answer.status_code for answer in nowhere] == [404] * 3


async def test_the_capability_statement_comes_in_each_form(server: Server) -> None:
    async with server.bearing(None) as client:
        whole = (await client.get("/metadata")).json()
        summary = (await client.get("/metadata?_summary=true")).json()
        again = (await client.get("/metadata?_summary=true&_format=xml&_pretty=true")).content
        elements = (await client.get("/metadata?_elements=software")).json()
        wrong = await client.get("/metadata?_elements=nothing")
    assert elements.keys() == {
        *("resourceType", "meta", "software"),
        *("status", "date", "kind", "fhirVersion", "format"),
    }
    assert set(whole["format"]) == {"application/fhir+json", "application/fhir+xml", "json", "xml"}
    assert "SUBSETTED" in str(summary["meta"])
    assert from_xml(again) == summary
    assert wrong.status_code == 400
