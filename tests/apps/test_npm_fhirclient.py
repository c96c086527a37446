"""
An app that is made with npm's fhirclient, at an origin of its own: what most SMART apps in browsers are.

The library is as its authors published it (fhirclient/README.md). The browser lets its scripts read our
answers because the app's origin is that of its registered redirect URI.

http://docs.smarthealthit.org/client-js/
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from fhir_server.population.demo import demo_people
from tests.apps.demo import Demo
from tests.apps.static import files_served
from tests.apps.window import CHROMIUM, Window, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

LIBRARY: Final = Path(__file__).parent / "fhirclient" / "fhir-client.pure.min.js"
SCOPE: Final = "openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"
STANDALONE: Final = f"launch/patient {SCOPE}"
FROM_EHR: Final = f"launch {SCOPE}"

PAGE: Final = b"""<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,">
<script defer src="/fhir-client.js"></script><script defer src="/app.js"></script>
<h1 id="name"></h1></html>"""

APP: Final = b"""
const show = (text) => { document.getElementById("name").textContent = text; };
const told = new URLSearchParams(location.search);
if (location.pathname === "/launch.html") {
  FHIR.oauth2.authorize({
    clientId: told.get("client"), scope: told.get("scope"), redirectUri: "/app.html",
    ...(told.has("fhir") ? { iss: told.get("fhir") } : {}),
  });
} else {
  FHIR.oauth2.ready().then(async (client) => {
    window.client = client;
    const patient = await client.patient.read();
    show(patient.name[0].given.join(" ") + " " + patient.name[0].family);
  }).catch((problem) => show("no: " + problem.message));
}
"""


@dataclass(frozen=True, slots=True)
class App:
    """The app as it is registered."""

    origin: str
    client: str

    def launch(self, scope: str, base: str) -> str:
        return f"{self.origin}/launch.html?client={self.client}&scope={scope.replace(' ', '%20')}&fhir={base}"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def app(demo: Demo) -> AsyncIterator[App]:
    library = LIBRARY.read_bytes()
    files = {"/launch.html": PAGE, "/app.html": PAGE, "/app.js": APP, "/fhir-client.js": library}
    async with files_served(files) as origin:
        client = await demo.registers("Growth", f"{origin}/app.html", f"launch {STANDALONE}")
        yield App(origin, client)


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser, demo: Demo) -> AsyncIterator[Window]:
    async with opened(browser, demo.origin) as made:
        yield made
    assert made.complaints == []


async def token_response(window: Window) -> dict[str, Any]:
    told: dict[str, Any] = await window.page.evaluate("client.state.tokenResponse")
    return told


async def launched(window: Window, demo: Demo, app: App, name: str = "patient") -> None:
    await window.page.goto(app.launch(STANDALONE, demo.base))
    await window.logs_in(name, demo)


async def test_it_launches_by_itself_and_reads_its_patient(window: Window, demo: Demo, app: App) -> None:
    """[D7, D9]"""
    await launched(window, demo, app)
    await window.allows()
    await window.reads("Isabel Rebecca Green")
    assert window.page.url.startswith(f"{app.origin}/app.html")
    who = await window.page.evaluate("[client.patient.id, client.getFhirUser()]")
    assert who == [demo_people().patient, f"Patient/{demo_people().patient}"]
    found = await window.page.evaluate("client.patient.request('Observation?_count=5')")
    assert len(found["entry"]) == 5


async def test_a_practitioner_chooses_its_patient(window: Window, demo: Demo, app: App) -> None:
    await launched(window, demo, app, "practitioner")
    await window.chooses("Noah Matthew Green")
    await window.allows()
    await window.reads("Noah Matthew Green")
    user = await window.page.evaluate("client.getFhirUser()")
    assert user == f"Practitioner/{demo_people().practitioner}"


async def test_an_ehr_launches_it(window: Window, demo: Demo, app: App) -> None:
    """[D7, T2]"""
    registered = await demo.registers(
        *("Launched", f"{app.origin}/app.html", f"launch {STANDALONE}"),
        *("--launch-uri", f"{app.origin}/launch.html?scope={FROM_EHR.replace(' ', '%20')}"),
    )
    people = demo_people()
    address = await demo.server.operated(
        "launch", "--client", registered, "--patient", people.patient, "--encounter", people.encounter
    )
    await window.page.goto(f"{address}&client={registered}")
    await window.logs_in("practitioner", demo)
    await window.allows()
    await window.reads("Isabel Rebecca Green")
    assert await window.page.evaluate("client.encounter.id") == people.encounter


async def test_it_refreshes_its_token_again_and_again(window: Window, demo: Demo, app: App) -> None:
    """[F1] The library sends no client_id with a refresh token of a public client."""
    sent: list[str] = []
    window.page.on("request", lambda request: sent.append(request.post_data or ""))
    await launched(window, demo, app)
    await window.allows()
    await window.reads("Isabel Rebecca Green")
    seen = [await token_response(window)]
    for _ in range(2):
        sent.clear()
        await window.page.evaluate("client.refresh().then(() => null)")
        (posted,) = [body for body in sent if "grant_type=refresh_token" in body]
        assert "client_id" not in posted
        seen.append(await token_response(window))
        read = await window.page.evaluate("client.patient.read().then(patient => patient.id)")
        assert read == demo_people().patient
    for member in ("access_token", "refresh_token"):
        assert len({told[member] for told in seen}) == 3, member


async def test_it_is_told_when_the_person_does_not_allow_it(window: Window, demo: Demo, app: App) -> None:
    await launched(window, demo, app)
    await window.presses("Do not allow")
    await window.reads("no: ")


async def test_an_origin_that_no_app_has_registered_reads_nothing(
    window: Window, demo: Demo, app: App
) -> None:
    """[D9] The same app at another origin gets as far as the browser lets it: no further than discovery."""
    files = {"/launch.html": PAGE, "/app.html": PAGE, "/app.js": APP, "/fhir-client.js": LIBRARY.read_bytes()}
    async with files_served(files) as origin:
        await window.page.goto(f"{origin}/app.html")
        asked = f"fetch('{demo.base}/Patient', {{headers: {{Authorization: 'Bearer x'}}}})"
        read = await window.page.evaluate(f"{asked}.then(answer => answer.status, () => 'blocked')")
        assert read == "blocked"
    assert any("CORS policy" in text for text in window.complaints)
    window.complaints.clear()
