"""The demo app in a real browser: https://hl7.org/fhir/smart-app-launch/app-launch.html"""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from fhir_server.population.demo import demo_people
from tests.apps.demo import Demo
from tests.apps.window import CHROMIUM, Scheme, Window, opened
from tests.server.test_docs_in_a_browser import contrast

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

NAME = "Isabel Rebecca Green"
ANOTHER = "Noah Matthew Green"


async def launched(window: Window, demo: Demo, name: str = "patient") -> None:
    """The app by itself, up to the page on which the person goes on."""
    await window.goes("/demo/")
    await window.presses("Launch")
    await window.logs_in(name, demo)


async def test_a_patient_sees_their_own_record_and_nobody_else_s(window: Window, demo: Demo) -> None:
    """[D7, T2]"""
    await launched(window, demo)
    await window.allows()
    await window.reads(NAME)
    assert len(await window.texts("#observations tr")) == 10
    assert "offline_access" in await window.texts("#scopes li")
    assert window.page.url == f"{demo.origin}/demo/callback"
    await window.presses("Try somebody else's record")
    await window.is_told(f"Patient/{demo_people().somebody_else} was refused with 404")
    # The browser itself says that a request was answered with an error.
    assert [text for text in window.complaints if "status of 404" not in text] == []
    window.complaints.clear()


async def test_the_app_keeps_nothing_once_it_has_its_token(window: Window, demo: Demo) -> None:
    await launched(window, demo)
    await window.allows()
    await window.reads(NAME)
    kept = await window.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]


async def test_a_practitioner_chooses_the_patient(window: Window, demo: Demo) -> None:
    """[D7, T5]"""
    await launched(window, demo, "practitioner")
    await window.chooses(ANOTHER)
    await window.allows()
    await window.reads(ANOTHER)


async def test_an_ehr_launches_the_app_for_who_is_on_its_screen(window: Window, demo: Demo) -> None:
    """[D7, T2]"""
    people = demo_people()
    await window.goes("/demo/ehr")
    command = await window.page.locator("#command").inner_text()
    assert command.split() == [
        *("fhir-server", "launch", "--client", "demo-app"),
        *("--patient", people.patient, "--encounter", people.encounter),
    ]
    address = await demo.server.operated(*command.split()[1:])
    await window.page.get_by_label("The address that it printed").fill(address)
    await window.presses("Launch the app")
    await window.logs_in("practitioner", demo)
    await window.allows()
    await window.reads(NAME)
    await window.is_told(f"encounter {people.encounter}")


async def test_a_launch_is_used_once(window: Window, demo: Demo) -> None:
    """[A8]"""
    address = await demo.server.operated("launch", "--client", "demo-app", "--patient", demo_people().patient)
    for name in ("patient", None):
        await window.page.goto(address)
        if name is not None:
            await window.logs_in(name, demo)
            await window.allows()
            await window.reads(NAME)
    await window.is_told("The server says no (invalid_request)")


async def test_the_token_is_refreshed_and_reads_again(window: Window, demo: Demo) -> None:
    """[F1]"""
    await launched(window, demo)
    await window.allows()
    await window.reads(NAME)
    for _ in range(2):
        await window.presses("Refresh the token")
        await window.is_told("The token was refreshed")
        await window.reads(NAME)


async def test_what_is_taken_back_is_refused_with_the_next_call(window: Window, demo: Demo) -> None:
    """[F4]"""
    await launched(window, demo)
    await window.allows()
    await window.reads(NAME)
    apps = await window.page.context.new_page()
    await apps.goto(f"{demo.origin}/auth/apps")
    ends = apps.get_by_role("button", name="End access of Demo app")
    while await ends.count():
        async with apps.expect_navigation():
            await ends.first.click()
    await apps.get_by_text("No app has access to your record").wait_for()
    await window.presses("Read the record again")
    await window.is_told("The server refused it with 401")
    await window.presses("Refresh the token")
    await window.is_told("The server gives no token (invalid_grant)")
    window.complaints[:] = [text for text in window.complaints if "Failed to load resource" not in text]


async def test_who_narrows_observations_to_laboratory_shows_laboratory_alone(
    window: Window, demo: Demo
) -> None:
    """[A9, S5]"""
    await launched(window, demo)
    offer = window.page.locator("fieldset.offer").filter(has_text="patient/Observation.rs")
    await offer.get_by_label("Only what I choose").check()
    await offer.get_by_label("Laboratory").check()
    await window.allows()
    await window.reads(NAME)
    rows = window.page.locator("#observations tr")
    categories = await rows.evaluate_all("rows => rows.map(row => row.dataset.category)")
    assert set(categories) == {"laboratory"}
    granted = [scope for scope in await window.texts("#scopes li") if "Observation" in scope]
    assert granted == [f"patient/Observation.rs?category={LABORATORY}"]
    await window.is_told("Asked for, and not granted as it was asked: patient/Observation.rs")


async def test_who_does_not_allow_it_gives_nothing(window: Window, demo: Demo) -> None:
    """[A9]"""
    await launched(window, demo)
    await window.presses("Do not allow")
    await window.is_told("The server says no (access_denied)")
    assert await window.page.locator("#record").is_hidden()


@pytest.mark.parametrize(
    "query",
    ["", "iss=https://evil.example/fhir&launch=1", "iss=http://127.0.0.1/fhir&launch=1", "launch=1"],
)
async def test_the_app_is_launched_for_no_other_server(window: Window, query: str) -> None:
    await window.goes(f"/demo/launch?{query}")
    await window.is_told("and was launched for another server")
    assert window.page.url.endswith(query)


@pytest.mark.parametrize("query", ["code=x&state=y", "state=y", "error=access_denied", ""])
async def test_an_answer_that_nobody_waits_for_is_not_taken(window: Window, query: str) -> None:
    await window.goes(f"/demo/callback?{query}")
    await window.is_told("This tab waits for no answer")


async def test_an_answer_of_another_server_is_not_taken(window: Window, demo: Demo) -> None:
    """https://www.rfc-editor.org/rfc/rfc9207"""
    await window.goes("/demo/")
    await window.page.evaluate("""sessionStorage.setItem("demo-app/s", '{"verifier": "v", "scope": ""}')""")
    await window.goes("/demo/callback?code=x&state=s&iss=https://evil.example/fhir")
    await window.is_told("and was launched for another server")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/demo/", "/demo/launch", "/demo/callback", "/demo/ehr"])
async def test_each_page_can_be_read_and_each_field_has_a_label(
    browser: Browser, demo: Demo, path: str, scheme: Scheme
) -> None:
    async with opened(browser, demo.origin, scheme) as window:
        await window.goes(path)
        for selector in ("h1", "main p:visible", "main a", "button:visible", "label"):
            if await window.page.locator(selector).count():
                assert await contrast(window.page, selector) >= 4.5, selector
        unlabelled = "fields => fields.filter(field => !field.labels.length).map(field => field.id)"
        assert await window.page.locator("input, textarea").evaluate_all(unlabelled) == []
        await window.page.set_viewport_size({"width": 320, "height": 640})
        assert await window.page.evaluate("document.documentElement.scrollWidth") <= 320
        assert window.complaints == []


LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
