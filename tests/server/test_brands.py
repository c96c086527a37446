"""
The Brand Bundle, over HTTP [P2].

https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fhir_server.smart.brands.bundle import InvalidBrands
from tests.server.providing import providing
from tests.server.running import BASE, Server, serving

BRANDS = "http://fhir.example/brands"
IDENTIFIER = {"system": "urn:ietf:rfc:3986", "value": "https://goodhealth.example.org"}
PRIMARY = f"{IDENTIFIER['system']}|{IDENTIFIER['value']}"


@pytest.fixture
def bundle() -> dict[str, Any]:
    """The example of the documentation, as that of this server."""
    told: dict[str, Any] = json.loads(Path("docs/brands.example.json").read_bytes())
    told["entry"][2]["resource"]["address"] = BASE
    return told


@pytest.fixture
def file(tmp_path: Path, bundle: dict[str, Any]) -> Path:
    found = tmp_path / "brands.json"
    found.write_text(json.dumps(bundle))
    return found


@pytest.fixture
def broken(tmp_path: Path, bundle: dict[str, Any]) -> Path:
    del bundle["timestamp"]
    found = tmp_path / "broken.json"
    found.write_text(json.dumps(bundle))
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def branded(mongodb_url: str, database_name: str, tmp_path: Path, file: Path) -> AsyncIterator[Server]:
    async with serving(
        mongodb_url, database_name, tmp_path, brands_file=file, brand_identifier=PRIMARY
    ) as running:
        yield running


async def test_the_bundle_is_there_for_everybody_on_any_origin(
    branded: Server, bundle: dict[str, Any]
) -> None:
    """[P2, R400, R402, R418, R423, R436]: as it is in its file."""
    async with branded.bearing(None) as http:
        answer = await http.get(BRANDS, headers={"Origin": "https://app.example.org"})
        head = await http.head(BRANDS)
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "etag" in answer.headers["access-control-expose-headers"].lower()
    assert answer.json() == bundle
    assert answer.json()["timestamp"]
    assert (head.status_code, head.content) == (httpx.codes.OK, b"")


async def test_the_bundle_is_found_where_a_provider_outside_issues_the_tokens(
    mongodb_url: str, database_name: str, tmp_path: Path, file: Path
) -> None:
    """[D5, P2]"""
    async with providing() as provider:
        told = {**provider.settings, "brands_file": file, "brand_identifier": PRIMARY}
        async with (
            serving(mongodb_url, database_name, tmp_path, **told) as running,
            running.bearing(provider.token()) as http,
        ):
            await http.get("/Patient")
            found = (await http.get("/.well-known/smart-configuration")).json()
            assert (await http.get(BRANDS)).status_code == httpx.codes.OK
    assert found["issuer"] == provider.issuer
    assert found["user_access_brand_bundle"] == BRANDS
    assert found["user_access_brand_identifier"] == IDENTIFIER


async def test_a_browser_may_ask_beforehand(branded: Server) -> None:
    """[R400, R423]"""
    asked = {
        "Origin": "https://app.example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "if-none-match",
    }
    async with branded.bearing(None) as http:
        answer = await http.options(BRANDS, headers=asked)
    assert answer.status_code == httpx.codes.NO_CONTENT
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "if-none-match" in answer.headers["access-control-allow-headers"].lower()


async def test_who_has_it_need_not_fetch_it_again(branded: Server) -> None:
    """[P2]: a weak ETag."""
    async with branded.bearing(None) as http:
        first = await http.get(BRANDS)
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        assert "max-age" in first.headers["cache-control"]
        for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            again = await http.get(BRANDS, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (httpx.codes.NOT_MODIFIED, b"")
            assert again.headers["etag"] == tag
            assert again.headers["access-control-allow-origin"] == "*"
        assert (await http.get(BRANDS, headers={"If-None-Match": 'W/"x"'})).status_code == httpx.codes.OK


async def test_the_configuration_leads_to_it(branded: Server) -> None:
    """[D5, R409, R410, R412, R430, R431, R432]"""
    async with branded.bearing(None) as http:
        told = (await http.get("/.well-known/smart-configuration")).json()
        bundle = (await http.get(told["user_access_brand_bundle"])).json()
    assert told["user_access_brand_bundle"] == BRANDS
    assert told["user_access_brand_identifier"] == IDENTIFIER
    brands = [
        entry["resource"]
        for entry in bundle["entry"]
        if IDENTIFIER in entry["resource"].get("identifier", ())
    ]
    [primary] = brands
    [endpoint] = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Endpoint"]
    assert primary["endpoint"] == [{"reference": f"Endpoint/{endpoint['id']}"}]
    assert endpoint["address"] == BASE


async def test_what_is_published_has_a_primary_brand_times_and_identifiers(branded: Server) -> None:
    """[P2, R396, R398, R403, R417, R418, R419, R421, R436]"""
    async with branded.bearing(None) as http:
        bundle = (await http.get(BRANDS)).json()
    resources = [entry["resource"] for entry in bundle["entry"]]
    endpoints = {f"Endpoint/{one['id']}" for one in resources if one["resourceType"] == "Endpoint"}
    brands = [one for one in resources if one["resourceType"] == "Organization"]
    primary = [one for one in brands if "partOf" not in one]
    assert {endpoint["reference"] for one in primary for endpoint in one["endpoint"]} == endpoints
    assert bundle["timestamp"]
    assert all(
        identifier["system"] and identifier["value"] for one in brands for identifier in one["identifier"]
    )
    assert any("lastUpdated" in one.get("meta", {}) for one in resources)


@pytest.mark.parametrize(
    ("reason", "may"), [("asked-declined", True), ("asked-unknown", True), ("unknown", False)]
)
async def test_data_is_absent_because_somebody_was_asked(
    mongodb_url: str, database_name: str, tmp_path: Path, bundle: dict[str, Any], reason: str, *, may: bool
) -> None:
    """[P2, R405]"""
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": reason}
    portal = bundle["entry"][0]["resource"]["extension"][1]["extension"]
    portal[:] = [one for one in portal if one["url"] != "portalName"]
    portal.append({"url": "portalName", "_valueString": {"extension": [absent]}})
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(bundle))
    told: dict[str, Any] = {"brands_file": file, "brand_identifier": PRIMARY}
    if may:
        async with (
            serving(mongodb_url, database_name, tmp_path, **told) as running,
            running.bearing(None) as http,
        ):
            assert (await http.get(BRANDS)).json() == bundle
    else:
        with pytest.raises(InvalidBrands):
            async with serving(mongodb_url, database_name, tmp_path, **told):
                pass


async def test_without_a_file_there_is_none(server: Server) -> None:
    async with server.bearing(None) as http:
        assert (await http.get(BRANDS)).status_code == httpx.codes.NOT_FOUND
        told = (await http.get("/.well-known/smart-configuration")).json()
    assert not any(name.startswith("user_access_brand") for name in told)


async def test_a_file_that_is_wrong_is_not_served(
    mongodb_url: str, database_name: str, tmp_path: Path, broken: Path
) -> None:
    """[P2]"""
    with pytest.raises(InvalidBrands, match=r"Bundle\.timestamp"):
        async with serving(
            mongodb_url, database_name, tmp_path, brands_file=broken, brand_identifier=PRIMARY
        ):
            pass
