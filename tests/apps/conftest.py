"""One `serve --demo` and one Chromium for the tests of a file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.apps.demo import Demo, demonstrating
from tests.apps.window import CHROMIUM, Window, opened


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def demo(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    async with demonstrating(mongodb_url, tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def browser() -> AsyncIterator[Browser]:
    # Chromium's sandbox does not start for root.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser, demo: Demo) -> AsyncIterator[Window]:
    """A browser that knows nothing yet; in the end, nothing that it blocked or that broke is left unsaid."""
    async with opened(browser, demo.origin) as made:
        yield made
    assert made.complaints == []
