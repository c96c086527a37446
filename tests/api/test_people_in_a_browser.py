"""
The pages of people in a real browser: by keyboard alone, on a phone, light and dark, under their policy.

Chromium is the machine's own; where there is none, these tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from fhir_server.api.pages.people import chosen
from tests.api.showing import CONSENT, PAGES, Shown, hostile_pages, shown

CHROMIUM: Final = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

Scheme = Literal["light", "dark"]
ALL: Final = {**PAGES, **hostile_pages()}
PHONE_PIXELS: Final = 320


@pytest.fixture(scope="module")
def site() -> Iterator[Shown]:
    with shown(ALL) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def browser() -> AsyncIterator[Browser]:
    # Chromium's sandbox does not start for root.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def phone(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """An empty page of a phone, without JavaScript of pages; the browser may complain of nothing."""
    scheme: Scheme = getattr(request, "param", "light")
    context = await browser.new_context(
        color_scheme=scheme,
        java_script_enabled=False,
        viewport={"width": PHONE_PIXELS, "height": 640},
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    assert complaints == []


@pytest.mark.parametrize("phone", ["light", "dark"], indirect=True)
async def test_each_page_fits_a_phone_and_can_be_read(phone: Page, site: Shown) -> None:
    """https://www.w3.org/TR/WCAG22/#reflow, https://www.w3.org/TR/WCAG22/#contrast-minimum"""
    for name in ALL:
        await _open(phone, site, name)
        assert await phone.evaluate("document.documentElement.scrollWidth") <= PHONE_PIXELS, name
        told: list[tuple[str, float]] = await phone.evaluate(_CONTRASTS)
        assert len(told) > 3, name
        assert [(text, ratio) for text, ratio in told if ratio < 4.5] == [], name
        edges: list[tuple[str, float]] = await phone.evaluate(_EDGES)
        assert [(text, ratio) for text, ratio in edges if ratio < 3] == [], name


async def test_each_control_has_a_name(phone: Page, site: Shown) -> None:
    """https://www.w3.org/TR/WCAG22/#name-role-value"""
    session = await phone.context.new_cdp_session(phone)
    for name in PAGES:
        await _open(phone, site, name)
        tree = await session.send("Accessibility.getFullAXTree")
        controls = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in tree["nodes"]
            if not node["ignored"] and node["role"]["value"] in _ROLES
        ]
        assert [control for control in controls if not control[1].strip()] == [], name
        assert len(controls) == await phone.locator(_CONTROLS).count(), name


async def test_the_keyboard_reaches_everything_in_the_order_it_is_read(phone: Page, site: Shown) -> None:
    """https://www.w3.org/TR/WCAG22/#keyboard, https://www.w3.org/TR/WCAG22/#focus-visible"""
    for name in PAGES:
        await _open(phone, site, name)
        await phone.locator("header p").click()  # from the top, wherever choosing has left the keyboard
        expected: list[str] = await phone.evaluate(_STOPS)
        found = []
        for _ in expected:
            await phone.keyboard.press("Tab")
            stop, outline = await phone.evaluate(_STOP)
            found.append(stop)
            assert outline == "solid", (name, stop)
        assert found == expected, name


async def test_a_person_logs_in_by_keyboard(phone: Page, site: Shown) -> None:
    await phone.goto(f"{site.origin}/login")
    await _type(phone, "Tab", "amy", "Tab", "correct horse", "Enter")
    assert await _sent(phone, site, "/auth/login") == [
        ("csrf", "a-csrf-value"),
        ("request", "a-request"),
        ("name", "amy"),
        ("password", "correct horse"),
    ]


async def test_a_person_cancels_without_filling_in_anything(phone: Page, site: Shown) -> None:
    await phone.goto(f"{site.origin}/code")
    await _type(phone, "Tab", "Tab", "Tab", "Enter")
    assert ("decision", "cancel") in await _sent(phone, site, "/auth/code")


async def test_a_person_searches_and_chooses_a_patient_by_keyboard(phone: Page, site: Shown) -> None:
    await phone.goto(f"{site.origin}/patients-first")
    await _type(phone, "Tab", "shaw", "Enter")
    assert await _sent(phone, site, "/auth/patient") == [
        ("csrf", "a-csrf-value"),
        ("request", "a-request"),
        ("query", "shaw"),
        ("decision", "search"),
    ]
    await phone.goto(f"{site.origin}/patients")
    await phone.get_by_role("button", name="Ben Shaw").press("Enter")
    assert (await _sent(phone, site, "/auth/patient"))[-1] == ("patient", "p2")


async def test_a_person_narrows_what_is_asked_by_keyboard_and_allows_it(phone: Page, site: Shown) -> None:
    """[A9]"""
    await phone.goto(f"{site.origin}/consent")
    parts = phone.get_by_role("group", name="With “only what I choose”, it may")
    assert await parts.count() == 0
    offer = phone.get_by_role("group", name="See laboratory results, vital signs and other observations")
    await offer.get_by_label("Allow all of it").focus()
    await _type(phone, "ArrowDown")
    assert await parts.count() == 1
    await _type(phone, "Tab", "Space", "Tab", "Tab", "Tab", "Space")
    await phone.get_by_label("Keep access when you are not there").press("Space")
    await phone.get_by_role("button", name="Allow", exact=True).press("Enter")
    form = await _sent(phone, site, "/auth/consent")
    assert form[-1] == ("decision", "allow")
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    assert chosen(form, CONSENT.offers) == (
        "launch/patient",
        "openid",
        "fhirUser",
        "patient/Patient.rs",
        f"patient/Observation.rs?category={category}|laboratory",
        f"patient/Observation.rs?category={category}|survey",
        *(offer.text for offer in CONSENT.offers[6:]),
    )


async def test_a_person_ends_the_access_of_one_app(phone: Page, site: Shown) -> None:
    """[F4]"""
    await phone.goto(f"{site.origin}/apps")
    await phone.get_by_role("button", name="End access of Blood Sugar Diary").press("Enter")
    assert await _sent(phone, site, "/auth/apps") == [("csrf", "a-csrf-value"), ("grant", "g2")]


async def test_the_policy_lets_a_form_end_at_the_app_that_asked_and_nowhere_else(browser: Browser) -> None:
    """[A10] https://www.w3.org/TR/CSP3/#directive-form-action"""
    with shown({}) as app, shown(PAGES, (app.origin,), f"{app.origin}/back?code=1") as allowed:
        page = await browser.new_page()
        await page.goto(f"{allowed.origin}/consent")
        await page.get_by_role("button", name="Allow", exact=True).click()
        await page.wait_for_url(f"{app.origin}/back?code=1")
        await page.close()
    with shown({}) as app, shown(PAGES, (), f"{app.origin}/back?code=1") as refused:
        page = await browser.new_page()
        await page.goto(f"{refused.origin}/consent")
        async with page.expect_console_message(lambda message: "form-action" in message.text):
            await page.get_by_role("button", name="Allow", exact=True).click()
        assert app.sent == []
        await page.close()


async def _open(page: Page, site: Shown, name: str) -> None:
    """The page with all there is to choose shown."""
    await page.goto(f"{site.origin}/{name}")
    for choice in await page.locator("[value=some]").all():
        await choice.check()


async def _type(page: Page, *keys: str) -> None:
    for key in keys:
        if key in ("Tab", "Space", "Enter", "ArrowDown"):
            await page.keyboard.press(key)
        else:
            await page.keyboard.type(key)


async def _sent(page: Page, site: Shown, path: str) -> list[tuple[str, str]]:
    """What the form was sent with, as soon as it is answered."""
    await page.wait_for_url(lambda url: urlsplit(url).path == path)
    sent_to, form = site.sent[-1]
    assert sent_to == path
    return form


_CONTROLS: Final = "input:not([type=hidden]):visible, button:visible, a:visible"
_ROLES: Final = ("textbox", "searchbox", "checkbox", "radio", "button", "link")

_STOPS: Final = """() => {
  const reached = [...document.querySelectorAll("a[href], button, input:not([type=hidden])")]
    .filter(element => element.checkVisibility() && (element.type !== "radio" || element.checked));
  return reached.map(element => `${element.name ?? ""}=${element.value ?? ""} ${element.textContent.trim()}`);
}"""
"""Where the keyboard should stop: each control that is seen; of a group of radios the one that is chosen."""

_STOP: Final = """() => {
  const element = document.activeElement;
  const stop = `${element.name ?? ""}=${element.value ?? ""} ${element.textContent.trim()}`;
  return [stop, getComputedStyle(element).outlineStyle];
}"""

_COLOURS: Final = """
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const opaque = colour => parts(colour).length < 4 || parts(colour)[3] > 0.5;
  const light = colour => {
    const [red, green, blue] = parts(colour).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = element => {
    let behind = element;
    while (behind && !opaque(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    return behind ? getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)";
  };
  const ratio = (one, other) => {
    const [less, more] = [light(one), light(other)].sort((a, b) => a - b);
    return (more + 0.05) / (less + 0.05);
  };
"""

_CONTRASTS: Final = f"""() => {{ {_COLOURS}
  const told = element => element.matches("input:not([type=hidden])")
    || [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter(element => element.checkVisibility() && told(element))
    .map(element => [
      element.outerHTML.slice(0, 80), ratio(getComputedStyle(element).color, ground(element)),
    ]);
}}"""
"""https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio of each element with text of its own."""

_EDGES: Final = f"""() => {{ {_COLOURS}
  const fields = document.querySelectorAll("input:not([type=hidden], [type=checkbox], [type=radio])");
  return [...fields].map(element => [
    element.outerHTML.slice(0, 80),
    ratio(getComputedStyle(element).borderTopColor, ground(element.parentElement)),
  ]);
}}"""
"""The same of the edge by which a field is seen: https://www.w3.org/TR/WCAG22/#non-text-contrast"""
