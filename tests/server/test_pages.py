"""The pages around the FHIR API: public, without data, from our own origin alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from fhir_server.api.face import face
from fhir_server.api.metrics import Metrics
from fhir_server.api.openapi import names
from fhir_server.api.registration import registered
from fhir_server.settings import Settings
from tests.server.running import serving

ORIGIN = "http://fhir.example"
BASE = f'{ORIGIN}/a"<b>&/fhir'
PAGES = ("/", "/docs")
FILES = (
    "docs.css",
    "docs.js",
    "icon.png",
    "people.css",
    "start.css",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
)


class Links(HTMLParser):
    """Where a page leads and what it is made of, and whether there is anything inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.addresses += [str(told[name]) for name in ("href", "src") if name in told]
        if tag == "style" or (tag == "script" and "src" not in told):
            self.inline.append(tag)
        self.inline += [name for name in told if name == "style" or name.startswith("on")]


async def _ready() -> dict[str, str]:
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    application = face(_ready, Metrics(), Settings(base_url=BASE), registered(Settings()))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as made:
        yield made


async def test_the_start_page_says_what_this_is(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "FHIR R4 (4.0.1)" in page.text
    assert "Version 0.1.0" in page.text
    assert "http://fhir.example/a&quot;&lt;b&gt;&amp;/fhir" in page.text
    addresses = Links(page.text).addresses
    assert {"/docs", "/health/ready"} <= set(addresses)
    assert any(address.endswith("/fhir/metadata?_format=json&_pretty=true") for address in addresses)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_takes_nothing_from_elsewhere_and_nothing_inline(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    policy = page.headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert "unsafe" not in policy
    assert "*" not in policy
    assert set(re.findall(r"'self'|https?:", policy)) == {"'self'"}
    links = Links(page.text)
    assert links.inline == []
    assert all(address.startswith("/") and not address.startswith("//") for address in links.addresses)
    assert ("script" in policy) is (path == "/docs")


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_page_is_made_of_is_there(client: httpx.AsyncClient, path: str) -> None:
    for address in Links((await client.get(path)).text).addresses:
        if not address.startswith("/a"):  # Below the FHIR base, which is another application's.
            assert (await client.get(address)).status_code == 200, address


async def test_the_choice_is_of_each_document(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert tuple(re.findall(r'<option value="([^"]+)">', page.text)) == names()
    assert re.search(r"<label>Documentation of <select", page.text)
    assert '<html lang="en">' in page.text


@pytest.mark.parametrize("name", FILES)
async def test_a_file_is_packed_and_kept_by_the_browser(client: httpx.AsyncClient, name: str) -> None:
    plain = await client.get(f"/pages/{name}", headers={"Accept-Encoding": "identity"})
    packed = await client.get(f"/pages/{name}", headers={"Accept-Encoding": "gzip"})
    assert (plain.status_code, packed.headers["content-encoding"]) == (200, "gzip")
    assert plain.content == packed.content
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert plain.headers["content-security-policy"].startswith("default-src 'none'")
    again = await client.get(f"/pages/{name}", headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = await client.head(f"/pages/{name}")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/pages/x", "/pages/__init__.py", "/pages/..%2Ffhir.py", "/openapi/X.json",
                                  "/openapi/patient.json", "/openapi/Patient", "/docs/"])  # fmt: skip
async def test_nothing_else_is_there(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_a_document_is_served_as_it_is(client: httpx.AsyncClient) -> None:
    told = await client.get("/openapi/Patient.json")
    assert told.headers["content-type"] == "application/json"
    assert told.json()["info"]["title"] == "FHIR R4: Patient"
    assert told.json()["servers"] == [{"url": '/a"<b>&/fhir'}]
    assert (await client.post("/openapi/Patient.json")).status_code == 405


async def test_the_token_is_not_kept(client: httpx.AsyncClient) -> None:
    script = (await client.get("/pages/docs.js")).text
    assert "persistAuthorization: false" in script
    assert "validatorUrl: null" in script
    assert "localStorage" not in script
    assert "sessionStorage" not in script


async def test_what_is_around_is_there_when_the_base_is_the_root(
    mongodb_url: str, database_name: str, tmp_path: Path
) -> None:
    async with (
        serving(mongodb_url, database_name, tmp_path, base_url="http://fhir.example") as server,
        server.bearing(None) as client,
    ):
        paths = ("health/live", "health/ready", "docs", "pages/docs.js", "openapi/Patient.json", "metadata")
        statuses = {path: (await client.get(f"http://fhir.example/{path}")).status_code for path in paths}
        base = await client.get("http://fhir.example/")
    assert set(statuses.values()) == {200}, statuses
    assert base.status_code == 401
