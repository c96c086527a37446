"""
The pages as a person sees them: in a real browser, which keeps to their policy.

Chromium is the machine's own; where there is none, these tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.server.running import a_patient
from tests.server.served import Served, served

CHROMIUM: Final = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

Scheme = Literal["light", "dark"]


@dataclass(slots=True)
class Seen:
    """A page, and what the browser complained about or asked elsewhere."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:")):
            self.elsewhere.append(url)

    async def go(self, path: str) -> None:
        await self.page.goto(self.origin + path)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def real(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("docs")
    async with served(mongodb_url, folder, {}, workers=1) as server:
        async with server.client() as client:
            patient = a_patient(id="p1", birthDate="1970-01-02")
            assert (await client.put("/Patient/p1", json=patient)).status_code == 201
        yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def browser() -> AsyncIterator[Browser]:
    # Chromium's sandbox does not start for root.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session", params=["light", "dark"])
async def seen(browser: Browser, real: Served, request: pytest.FixtureRequest) -> AsyncIterator[Seen]:
    """An empty page of a person who likes it light or dark; nothing may be wrong with it in the end."""
    scheme: Scheme = request.param
    context = await browser.new_context(color_scheme=scheme)
    found = Seen(await context.new_page(), f"http://127.0.0.1:{real.port}")
    found.listen()
    yield found
    await context.close()
    assert found.complaints == []
    assert found.elsewhere == []


async def contrast(page: Page, selector: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio of the text and what is behind it."""
    return float(await page.locator(selector).first.evaluate(_CONTRAST))


async def title_of(page: Page, expected: str) -> bool:
    """Whether the document has this title, and no other, as soon as it is there."""
    await page.get_by_role("heading", name=expected).wait_for()
    return await page.locator(".info .title").count() == 1


async def test_the_start_page_leads_to_the_rest(seen: Seen) -> None:
    await seen.go("/")
    assert await seen.page.title() == "FHIR interoperability server"
    assert await seen.page.locator(".base code").inner_text() == f"{seen.origin}/fhir"
    for selector in ("h1", ".version", "main a", "pre code"):
        assert await contrast(seen.page, selector) >= 4.5, selector
    links = await seen.page.locator("main a").evaluate_all("links => links.map(link => link.href)")
    for link in links:
        answer = await seen.page.request.get(link)
        assert answer.status == 200, link


async def test_a_person_reads_a_resource_with_a_token(seen: Seen, real: Served) -> None:
    page = seen.page
    await seen.go("/docs")
    await page.get_by_label("Documentation of").select_option("Patient")
    await page.get_by_role("heading", name="FHIR R4: Patient").wait_for()
    assert page.url.endswith("/docs?of=Patient")
    await page.get_by_role("button", name="Authorize").click()
    await page.get_by_label("auth-bearer-value").fill(real.token)
    await page.get_by_role("button", name="Apply credentials").click()
    await page.get_by_role("button", name="Close").last.click()
    read = page.locator("#operations-Read_and_write-read")
    await read.locator(".opblock-summary-control").click()
    await read.get_by_role("button", name="Try it out").click()
    await read.locator("tr[data-param-name=id] input").fill("p1")
    await read.get_by_role("button", name="Execute").click()
    answer = read.locator(".live-responses-table .response")
    await answer.wait_for()
    assert await answer.locator(".response-col_status").inner_text() == "200"
    assert "1970-01-02" in await answer.locator(".highlight-code").inner_text()
    # Another document keeps the token, in the page's memory and nowhere else.
    await page.get_by_label("Documentation of").select_option("Observation")
    await page.get_by_role("heading", name="FHIR R4: Observation").wait_for()
    assert await page.locator(".authorize.locked").count() == 1
    kept = await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]
    await page.reload()
    await page.get_by_role("heading", name="FHIR R4: Observation").wait_for()
    assert await page.locator(".authorize.unlocked").count() == 1


async def test_each_document_has_an_address_and_the_way_back(seen: Seen) -> None:
    page = seen.page
    await seen.go("/docs?of=Encounter")
    assert await title_of(page, "FHIR R4: Encounter")
    await page.get_by_label("Documentation of").select_option("system")
    assert await title_of(page, "FHIR R4: the server")
    assert page.url == f"{seen.origin}/docs?of=system"
    await page.go_back()
    assert await title_of(page, "FHIR R4: Encounter")
    assert page.url == f"{seen.origin}/docs?of=Encounter"


async def test_a_document_of_somebody_else_is_not_shown(seen: Seen) -> None:
    await seen.go("/docs?of=https://elsewhere.example/openapi.json")
    assert await title_of(seen.page, "FHIR R4: the server")
    assert seen.elsewhere == []


async def test_what_stands_on_the_documentation_can_be_read(seen: Seen) -> None:
    await seen.go("/docs?of=Patient")
    await seen.page.get_by_role("heading", name="FHIR R4: Patient").wait_for()
    for selector in ("header a", "header label", ".info a", ".opblock-tag", ".opblock-summary-description"):
        assert await contrast(seen.page, selector) >= 4.5, selector


_CONTRAST: Final = """element => {
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const opaque = colour => parts(colour).length < 4 || parts(colour)[3] > 0.5;
  const light = colour => {
    const [red, green, blue] = parts(colour).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  let behind = element;
  while (behind && !opaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const ground = behind ? getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)";
  const [less, more] = [light(getComputedStyle(element).color), light(ground)].sort((a, b) => a - b);
  return (more + 0.05) / (less + 0.05);
}"""
