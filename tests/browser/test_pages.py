"""Every page in both languages, on a phone and on a desk: no complaint, no barrier, nothing too wide, little to load.

With TIGRILLO_SCREENS=FOLDER it leaves a picture of each there (`make screens`).
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, PHONE, Open, Watched
from tests.browser.house import House

FIRST_PAINT_BYTES = 100_000  # the issue's, without pictures
LOOKS = {
    "es-phone": ("es", PHONE, False),
    "en-desktop": ("en", DESKTOP, True),  # dark
    "en-phone": ("en", PHONE, False),
    "es-desktop": ("es", DESKTOP, False),
}


@dataclass(frozen=True)
class Place:
    """path: of the page; or, with `through`, a pattern of the first link there that leads to it."""

    name: str
    path: str
    through: str = ""


PLACES = (
    Place("now", "/"),
    Place("encounter", r"^/encounters/\w+$", through="/"),
    Place("review", "/review"),
    Place("sequence", r"^/review/\d+", through="/review"),
    Place("species", "/species"),
    Place("one-species", r"^/species/[A-Z]", through="/species"),
    Place("stations", "/stations"),
    Place("station", "/stations/filo-alto"),
    Place("alerts", "/alerts"),
    Place("rules", "/alerts/rules"),
    Place("rule", r"^/alerts/rules/[^/]+$", through="/alerts/rules"),
    Place("export", "/export"),
    Place("upload", "/upload"),
    Place("system", "/system"),
    Place("configuration", "/system/configuration"),
    Place("audit", "/system/audit"),
    Place("users", "/users"),
    Place("account", "/account"),
    Place("nothing", "/nowhere"),
)


def page_of(look: str, open_page: Open, house: House) -> Page:
    language, size, dark = LOOKS[look]
    page = open_page(house.url, size=size, language=language, dark=dark, user="ana")
    page.context.add_cookies([{"name": "tigrillo_language", "value": language, "url": house.url}])
    return page


def go(page: Page, house: House, place: Place) -> None:
    """Open a place, and wait until it is quiet; event streams never end, so nothing waits for the network."""
    if not place.through:
        page.goto(house.url + place.path)
    else:
        page.goto(house.url + place.through)
        links = page.eval_on_selector_all("main a[href]", "all => all.map(each => each.getAttribute('href'))")
        found = [link for link in links if re.search(place.path, link)]
        assert found, f"{place.through} leads to no {place.path}: {links[:40]}"
        page.goto(house.url + found[0])
    page.wait_for_load_state("load")
    page.wait_for_timeout(250)


def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical, one line each."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['target']} {each['nodes'][0]['html'][:120]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


def keep(page: Page, path: Path) -> None:
    """A picture of what is to be seen; WebP, because seventy of them lie in the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(500)  # pictures come when they are needed
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=60, method=6)


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_shown_without_complaint_or_barrier(look, open_page, house, screens: Path | None):
    language, size, _dark = LOOKS[look]
    page = page_of(look, open_page, house)
    watched = Watched(page, house.url)
    faults = []

    for place in PLACES:
        go(page, house, place)
        faults += [f"{place.name}: {fault}" for fault in serious(page)]
        expected = "404" if place.name == "nothing" else None
        faults += [f"{place.name}: {text}" for text in watched.complaints if not (expected and expected in text)]
        watched.complaints.clear()
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > size["width"]:
            faults.append(f"{place.name}: {wide} px wide")
        if page.locator("html").get_attribute("lang") != language:
            faults.append(f"{place.name}: not in {language}")
        if page.locator("h1").count() != 1:
            faults.append(f"{place.name}: {page.locator('h1').count()} headings of the first level")
        if screens is not None:
            keep(page, screens / f"{place.name}-{look}.webp")

    assert not faults, "\n".join(faults)


def test_a_first_visit_loads_little(open_page, house):
    too_much = {}
    for place in PLACES:
        if place.through:
            continue
        page = page_of("es-phone", open_page, house)  # an empty cache each time
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        client.send("Network.clearBrowserCache")
        client.send("Network.setCacheDisabled", {"cacheDisabled": True})
        kinds: dict[str, str] = {}
        sizes: dict[str, int] = {}
        client.on(
            "Network.responseReceived", lambda event, kinds=kinds: kinds.update({event["requestId"]: event["type"]})
        )
        client.on(
            "Network.loadingFinished",
            lambda event, sizes=sizes: sizes.update({event["requestId"]: int(event["encodedDataLength"])}),
        )
        go(page, house, place)
        loaded = sum(size for key, size in sizes.items() if kinds.get(key) not in {"Image", "Media", "EventSource"})
        assert loaded > 1000
        if loaded > FIRST_PAINT_BYTES:
            too_much[place.name] = loaded
        page.context.close()

    assert not too_much
