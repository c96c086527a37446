"""Binary over HTTP: bytes in, bytes out, under the rules of any resource. https://hl7.org/fhir/R4/binary.html"""

from __future__ import annotations

import base64
import gzip
from typing import Any, Final

import httpx

from tests.server.running import BASE, Server, a_patient, issues_of

PDF = b"%PDF-1.7 \x00\xff\r\n" * 100
AS_RESOURCE = {"Accept": "application/fhir+json"}


async def put(
    client: httpx.AsyncClient, content: bytes, kind: str = "application/pdf", id: str = "b", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.put(f"/Binary/{id}", content=content, headers={"Content-Type": kind, **named})


async def test_content_is_kept_and_given_back_as_it_came(server: Server) -> None:
    async with server.as_() as client:
        made = await client.post("/Binary", content=PDF, headers={"Content-Type": "application/pdf"})
        assert made.status_code == 201
        id = made.json()["id"]
        assert made.json()["data"] == base64.b64encode(PDF).decode()
        assert made.headers["location"] == f"{BASE}/Binary/{id}/_history/1"
        for address in (f"/Binary/{id}", f"/Binary/{id}/_history/1"):
            read = await client.get(address)
            assert read.status_code == 200
            assert read.content == PDF
            assert read.headers["content-type"] == "application/pdf"
            assert read.headers["etag"] == '"1"'
            assert read.headers["accept-ranges"] == "bytes"
            told = await client.head(address)
            assert (told.status_code, told.content) == (200, b"")
            assert told.headers["content-length"] == str(len(PDF))
        changed = await put(client, b"text", "text/plain; charset=utf-8", id)
        assert changed.status_code == 200
        assert (await client.get(f"/Binary/{id}")).headers["content-type"] == "text/plain; charset=utf-8"
        assert (await client.get(f"/Binary/{id}/_history/1")).content == PDF


async def test_nothing_at_all_is_content_too(server: Server) -> None:
    async with server.as_() as client:
        assert (await put(client, b"")).status_code == 201
        read = await client.get("/Binary/b")
        assert (read.status_code, read.content) == (200, b"")
        assert (await client.get("/Binary/b", headers={"Range": "bytes=0-"})).status_code == 416


async def test_a_packed_upload_is_unpacked(server: Server) -> None:
    async with server.as_() as client:
        assert (await put(client, gzip.compress(PDF), Content_Encoding="gzip")).status_code == 201
        read = await client.get("/Binary/b", headers={"Accept-Encoding": "gzip"})
        assert read.content == PDF
        assert "content-encoding" not in read.headers


ANSWERS: Final = [
    ("application/fhir+json", "", "application/fhir+json"),
    ("application/fhir+xml", "", "application/fhir+xml"),
    ("image/png, application/fhir+json;q=0.1", "", "application/fhir+json"),
    ("*/*", "?_format=json", "application/fhir+json"),
    ("application/pdf", "?_format=xml", "application/fhir+xml"),
    ("*/*", "?_summary=true", "application/fhir+json"),
    ("application/json", "", "application/fhir+json"),
    ("text/xml", "", "application/fhir+xml"),
    ("", "", "application/pdf"),
    ("*/*", "", "application/pdf"),
    ("application/pdf", "", "application/pdf"),
    ("image/png", "", "application/pdf"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "application/pdf"),
    ("application/fhir+json;q=0, application/pdf", "", "application/pdf"),
]


async def test_the_resource_is_what_who_names_fhir_gets(server: Server) -> None:
    for accept, query, kind in ANSWERS:
        async with server.as_() as client:
            await put(client, PDF)
            read = await client.get(f"/Binary/b{query}", headers={"Accept": accept})
            assert read.status_code == 200
            assert read.headers["content-type"].partition(";")[0] == kind
            assert (read.content == PDF) == (kind == "application/pdf")


async def test_a_resource_in_fhirs_own_format_is_a_resource(server: Server) -> None:
    resource = {"resourceType": "Binary", "id": "b", "contentType": "image/png", "data": "AAEC"}
    xml = (
        '<Binary xmlns="http://hl7.org/fhir"><id value="b"/><contentType value="image/png"/>'
        '<data value="AAEC"/></Binary>'
    )
    async with server.as_() as client:
        for body, kind in (
            (resource, "application/fhir+json"),
            (resource, "application/json"),
            (xml, "application/fhir+xml"),
            (xml, "text/xml"),
        ):
            content = body.encode() if isinstance(body, str) else httpx.Request("PUT", BASE, json=body).read()
            assert (await put(client, content, kind)).status_code in (200, 201), kind
            assert (await client.get("/Binary/b")).content == b"\x00\x01\x02"


CONTENTS: Final = [
    (b'{"resourceType":"Patient"}', "application/fhir+json"),
    (b'<Patient xmlns="http://hl7.org/fhir"/>', "application/fhir+xml"),
    (b"[1,2", "application/json"),
    (b"<a/>", "application/xml"),
    (b"\xff\xfe", "text/json; charset=utf-16"),
]


async def test_another_resource_or_any_json_and_xml_is_content(server: Server) -> None:
    for content, kind in CONTENTS:
        async with server.as_() as client:
            assert (await put(client, content, kind)).status_code in (200, 201)
            read = await client.get("/Binary/b")
            assert read.content == content
            assert read.headers["content-type"] == kind


async def test_what_says_fhirs_own_and_is_not_is_refused(server: Server) -> None:
    async with server.as_() as client:
        assert (await put(client, b"{", "application/fhir+json")).status_code == 400
        assert (await put(client, b"<", "application/fhir+xml")).status_code == 400
        wrong = {"resourceType": "Binary", "id": "other", "contentType": "a/b"}
        response = await client.put("/Binary/b", json=wrong)
        assert response.status_code == 400
        assert issues_of(response)[0]["expression"] == ["Binary.id"]


NO_MEDIA_TYPES: Final = ["", "pdf", "a/b/c", "text/", "a b/c", 'a/b; c="\u00e9"', "a/" + "b" * 300, "a/b;"]


async def test_a_content_type_is_a_media_type(server: Server) -> None:
    for kind in NO_MEDIA_TYPES:
        async with server.as_() as client:
            headers = {"Content-Type": kind.encode("latin-1").decode("latin-1")} if kind else {}
            request = client.build_request("PUT", "/Binary/b", content=b"x")
            request.headers = httpx.Headers({**request.headers, **headers}, encoding="latin-1")
            assert (await client.send(request)).status_code == 415


ACTIVE_TYPES: Final = ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"]


async def test_content_is_never_active_on_this_origin(server: Server) -> None:
    for kind in ACTIVE_TYPES:
        async with server.as_() as client:
            await put(client, b"<script>alert(1)</script>", kind)
            for headers in ({}, {"Range": "bytes=0-3"}):
                read = await client.get("/Binary/b", headers=headers)
                assert read.headers["content-disposition"] == "attachment"
                assert read.headers["x-content-type-options"] == "nosniff"
                assert read.headers["content-security-policy"] == "sandbox; default-src 'none'"
                assert read.headers["cache-control"] == "no-store"


STORED_TYPES: Final = ["text/html\nX: y", "é/é", "nonsense", "a/" + "b" * 300]


async def test_a_stored_type_that_is_none_does_not_become_a_header(server: Server) -> None:
    for stored in STORED_TYPES:
        resource = {"resourceType": "Binary", "id": "b", "contentType": stored, "data": "AAEC"}
        async with server.as_() as client:
            made = await client.put("/Binary/b", json=resource)
            if made.status_code in (200, 201):
                read = await client.get("/Binary/b")
                assert read.status_code == 200
                assert read.headers["content-type"] == "application/octet-stream"
            else:
                assert made.status_code == 422


RANGES: Final = [
    ("bytes=0-3", 206, slice(0, 4)),
    ("bytes=5-", 206, slice(5, None)),
    ("bytes=-7", 206, slice(-7, None)),
    ("bytes=1000-99999999999", 206, slice(1000, None)),
    ("bytes=-99999", 206, slice(0, None)),
    ("bytes=1299-1299", 206, slice(1299, 1300)),
    ("bytes=1300-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=0-3,5-6", 200, slice(0, None)),
    ("bytes=5-3", 200, slice(0, None)),
    ("bytes=-", 200, slice(0, None)),
    ("bytes=a-b", 200, slice(0, None)),
    ("items=0-3", 200, slice(0, None)),
    ("bytes=" + "9" * 30 + "-", 200, slice(0, None)),
]


async def test_one_range_may_be_asked_for(server: Server) -> None:
    for asked, status, part in RANGES:
        async with server.as_() as client:
            await put(client, PDF)
            read = await client.get("/Binary/b", headers={"Range": asked})
            assert read.status_code == status
            if part is None:
                assert read.headers["content-range"] == f"bytes */{len(PDF)}"
                assert issues_of(read)[0]["severity"] == "error"
                continue
            assert read.content == PDF[part]
            if status == 206:
                start, end, _ = part.indices(len(PDF))
                assert read.headers["content-range"] == f"bytes {start}-{end - 1}/{len(PDF)}"
            told = await client.head("/Binary/b", headers={"Range": asked})
            assert (told.status_code, told.headers["content-length"]) == (200, str(len(PDF)))


async def test_a_download_is_continued_only_while_nothing_has_changed(server: Server) -> None:
    async with server.as_() as client:
        await put(client, PDF)
        first = await client.get("/Binary/b", headers={"Range": "bytes=0-9"})
        etag = first.headers["etag"]
        onward = {"Range": "bytes=10-", "If-Range": etag}
        assert (await client.get("/Binary/b", headers=onward)).content == PDF[10:]
        # A date cannot tell two changes in one second apart, nor a weak ETag two representations.
        for weak in (first.headers["last-modified"], 'W/"1"'):
            read = await client.get("/Binary/b", headers={**onward, "If-Range": weak})
            assert (read.status_code, read.content) == (200, PDF)
        await put(client, PDF[::-1])
        read = await client.get("/Binary/b", headers=onward)
        assert (read.status_code, read.content) == (200, PDF[::-1])
        unchanged = await client.get("/Binary/b", headers={"If-None-Match": read.headers["etag"]})
        assert unchanged.status_code == 304
        assert unchanged.headers["etag"] == '"2"'


async def _of_two_patients(server: Server) -> None:
    async with server.as_() as client:
        for id in ("p1", "p2"):
            await client.put(f"/Patient/{id}", json=a_patient(id=id))
            document: dict[str, Any] = {
                "resourceType": "DocumentReference",
                "id": f"d-{id}",
                "status": "current",
                "subject": {"reference": f"Patient/{id}"},
                "content": [{"attachment": {"url": f"Binary/b-{id}"}}],
            }
            await client.put(f"/DocumentReference/d-{id}", json=document)
            made = await put(client, PDF, id=f"b-{id}", X_Security_Context=f"DocumentReference/d-{id}")
            assert made.status_code == 201
            assert made.json()["securityContext"] == {"reference": f"DocumentReference/d-{id}"}
        assert (await put(client, PDF, id="b-nobody")).status_code == 201


async def test_the_security_context_decides_who_may_have_the_content(server: Server) -> None:
    await _of_two_patients(server)
    async with server.as_("patient/*.cruds", patient="p1") as client:
        read = await client.get("/Binary/b-p1")
        assert (read.status_code, read.content) == (200, PDF)
        assert read.headers["x-security-context"] == "DocumentReference/d-p1"
        absent = await client.get("/Binary/b-absent")
        for address in ("/Binary/b-p2", "/Binary/b-nobody", "/Binary/b-p2/_history/1"):
            for headers in ({}, {"Range": "bytes=9999-"}, {"If-None-Match": '"1"'}, AS_RESOURCE):
                hidden = await client.get(address, headers=headers)
                assert hidden.status_code == absent.status_code == 404
                assert hidden.headers.keys() == absent.headers.keys()
        assert (await client.head("/Binary/b-p2")).status_code == 404
        found = (await client.get("/Binary")).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == ["b-p1"]


async def test_who_may_not_see_the_context_may_not_write_under_it(server: Server) -> None:
    await _of_two_patients(server)
    async with server.as_("patient/*.cruds", patient="p1") as client:
        kind = {"Content-Type": "text/plain"}
        mine = {**kind, "X-Security-Context": "DocumentReference/d-p1"}
        assert (await client.post("/Binary", content=b"x", headers=mine)).status_code == 201
        for context in ("DocumentReference/d-p2", "DocumentReference/absent", "Patient/p2"):
            headers = {**kind, "X-Security-Context": context}
            assert (await client.post("/Binary", content=b"x", headers=headers)).status_code == 403
        assert (await client.post("/Binary", content=b"x", headers=kind)).status_code == 403
        assert (await put(client, b"x", id="b-p2", X_Security_Context="Patient/p1")).status_code == 404


async def test_a_consent_that_denies_hides_the_content(server: Server) -> None:
    await _of_two_patients(server)
    consent = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"code": "59284-0"}]}],
        "patient": {"reference": "Patient/p1"},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
        "provision": {"type": "deny"},
    }
    async with server.as_() as client:
        assert (await client.post("/Consent", json=consent)).status_code == 201
    async with server.as_("user/*.rs", user="Practitioner/1") as client:
        assert (await client.get("/Binary/b-p1")).status_code == 404
        assert (await client.get("/Binary/b-p2")).status_code == 200


async def test_a_security_context_that_is_no_reference_or_stands_twice_is_refused(server: Server) -> None:
    async with server.as_() as client:
        refused = await put(client, PDF, X_Security_Context="no reference")
        assert refused.status_code == 422
        assert issues_of(refused)[0]["expression"] == ["Binary.securityContext.reference"]
        resource = b'{"resourceType":"Binary","id":"b","contentType":"a/b"}'
        both = await put(client, resource, "application/fhir+json", X_Security_Context="Patient/1")
        assert both.status_code == 400


async def test_a_download_is_recorded_like_a_read_with_whom_it_concerns(server: Server) -> None:
    await _of_two_patients(server)
    async with server.as_() as client:
        await client.get("/Binary/b-p1", headers={"Range": "bytes=0-1"})
    record = (await server.records())[-1]
    assert (record.interaction, record.outcome, record.patients) == ("read", "success", ("p1",))
    assert [target.reference for target in record.targets] == ["Binary/b-p1"]


async def test_a_patch_is_of_the_resource(server: Server) -> None:
    async with server.as_() as client:
        await put(client, PDF)
        operation = [{"op": "replace", "path": "/contentType", "value": "text/plain"}]
        patched = await client.patch(
            "/Binary/b", json=operation, headers={"Content-Type": "application/json-patch+json"}
        )
        assert patched.status_code == 200
        read = await client.get("/Binary/b")
        assert (read.headers["content-type"], read.content) == ("text/plain", PDF)
        raw = await client.patch("/Binary/b", content=PDF, headers={"Content-Type": "application/pdf"})
        assert raw.status_code == 415
