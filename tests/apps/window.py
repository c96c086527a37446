"""A person in front of a real browser: what they read, fill in and press, by the labels that they see."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from playwright.async_api import Browser, Page

from tests.apps.demo import Demo

CHROMIUM: Final = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

PATIENCE_MILLISECONDS: Final = 15_000

Scheme = Literal["light", "dark"]


@dataclass(slots=True)
class Window:
    """A page of our server's origin, and what the browser complained about."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def goes(self, path: str) -> None:
        await self.page.goto(self.origin + path)

    async def presses(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def logs_in(self, name: str, demo: Demo) -> None:
        await self.page.get_by_label("User name").fill(name)
        await self.page.get_by_label("Password").fill(demo.passwords[name])
        await self.presses("Log in")

    async def chooses(self, name: str) -> None:
        """A patient, among those who are found by the last of these words."""
        await self.page.get_by_label("Name, birth date or identifier").fill(name.rsplit(maxsplit=1)[-1])
        await self.presses("Search")
        await self.page.get_by_role("button", name=name).click()

    async def allows(self) -> None:
        await self.page.get_by_role("heading", name="Allow access?").wait_for()
        await self.presses("Allow")

    async def reads(self, heading: str) -> None:
        """Waits until the page says so."""
        await self.page.get_by_role("heading", name=heading).wait_for()

    async def is_told(self, text: str) -> None:
        """Waits until this text stands on the page."""
        await self.page.get_by_text(text).wait_for()

    async def texts(self, selector: str) -> list[str]:
        return await self.page.locator(selector).all_inner_texts()


@asynccontextmanager
async def opened(browser: Browser, origin: str, scheme: Scheme = "light") -> AsyncIterator[Window]:
    """A window of a browser with no cookies."""
    context = await browser.new_context(color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    made = Window(await context.new_page(), origin)
    made.listen()
    yield made
    await context.close()
