"""Debian's Chromium, driven by Playwright, over real processes of a site."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.house import PASSWORD, House

CHROMIUM = shutil.which("chromium")
# No connection of the browser's own; the machines of CI have no network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESKTOP = {"width": 360, "height": 780}, {"width": 1280, "height": 800}
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each has contexts of its own."""
    if CHROMIUM is None:
        pytest.fail("chromium is missing: scripts/apt.sh chromium:chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A site with three weeks behind it; tests that change its configuration make their own."""
    with House(tmp_path_factory.mktemp("house") / "site") as house:
        house.settled()
        yield house


class Watched:
    """A page whose complaints are kept: console errors, policy violations, requests to elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.complaints = page, url, []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _request(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", "about:")):
            self.complaints.append(f"asks elsewhere: {url}")


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """open_page(url, size=…, language=…, user=…): a page of its own, logged in when a user is named."""
    contexts: list[BrowserContext] = []

    def opened(
        url: str, *, size: dict = DESKTOP, language: str = "es", user: str = "", dark: bool = False, touch: bool = False
    ) -> Page:
        context = chromium.new_context(
            viewport=size,
            locale="es-CO" if language == "es" else "en",
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            timezone_id="America/Bogota",
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        if user:
            log_in(page, url, user)
        return page

    yield opened
    for context in contexts:
        context.close()


def log_in(page: Page, url: str, user: str, password: str = PASSWORD) -> None:
    """As a person does."""
    page.goto(f"{url}/login")
    page.locator("input[name=name]").fill(user)
    page.locator("input[name=password]").fill(password)
    page.locator("main form button[type=submit], main form button:not([type])").first.click()
    page.wait_for_url(lambda at: "/login" not in at)


@pytest.fixture
def screens() -> Path | None:
    """Where screenshots go, when somebody wants them (make screens)."""
    folder = os.environ.get("TIGRILLO_SCREENS")
    return Path(folder) if folder else None
