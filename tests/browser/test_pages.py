"""Every page in both languages, on a phone and on a desk: no complaint, no barrier, nothing too wide, little to load.

With TIGRILLO_SCREENS=FOLDER it leaves a picture of each there, and what axe-core says of it (`make screens`).
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

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


IMPACTS = ("critical", "serious", "moderate", "minor")
HEAD = (
    f"{'page':14}" + "".join(f"{each:>10}" for each in ("passed", *IMPACTS, "unsure")) + "  rules that axe is unsure of"
)


@dataclass(frozen=True)
class Place:
    """path: of the page; or, with `through`, a pattern of the first link there that leads to it. user: who looks."""

    name: str
    path: str
    through: str = ""
    user: str = "ana"


PLACES = (
    Place("now", "/"),
    Place("encounter", r"^/encounters/\w+$", through="/"),
    Place("review", "/review"),
    Place("progress", "/review/progress"),
    Place("sequence", r"^/review/\d+", through="/review"),
    Place("species", "/species"),
    Place("one-species", r"^/species/[A-Z]", through="/species"),
    Place("stations", "/stations"),
    Place("station", "/stations/filo-alto"),
    Place("deployment", "/stations/filo-alto/deployment"),
    Place("alerts", "/alerts"),
    Place("rules", "/alerts/rules"),
    Place("rule", r"^/alerts/rules/[^/]+$", through="/alerts/rules"),
    Place("export", "/export"),
    Place("upload", "/upload"),
    Place("system", "/system"),
    Place("quarantine", "/system/quarantine"),
    Place("configuration", "/system/configuration"),
    Place("audit", "/system/audit"),
    Place("users", "/users"),
    Place("account", "/account"),
    Place("api", "/api"),
    Place("nothing", "/nowhere"),
    Place("login", "/login", user=""),
    Place("forgot", "/forgot", user=""),
    Place("invitation", "/invitation/none", user=""),
)
LEVELS = "all => all.filter(each => each.checkVisibility()).map(each => Number(each.tagName[1]))"
MISSING = {"nothing", "invitation"}  # answered with 404, which Chromium writes to its console


def page_of(look: str, open_page: Open, house: House, user: str = "ana") -> Page:
    language, size, dark = LOOKS[look]
    page = open_page(house.url, size=size, language=language, dark=dark, user=user)
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


def axe(page: Page) -> Mapping[str, Any]:
    """What axe-core finds."""
    found: Mapping[str, Any] = Axe().run(page).response
    assert found["passes"], "axe-core has looked at nothing"
    return found


def serious(found: Mapping[str, Any]) -> list[str]:
    """What is serious or critical, one line each."""
    return [
        f"{each['id']}: {each['nodes'][0]['target']} {each['nodes'][0]['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def told(place: Place, found: Mapping[str, Any]) -> str:
    """A line of axe.txt."""
    by_impact = [sum(each["impact"] == impact for each in found["violations"]) for impact in IMPACTS]
    counts = "".join(f"{count:10}" for count in (len(found["passes"]), *by_impact, len(found["incomplete"])))
    unsure = ", ".join(sorted(each["id"] for each in found["incomplete"]))
    return f"{place.name:14}{counts}  {unsure}".rstrip()


def keep(page: Page, path: Path) -> None:
    """A picture of what is to be seen; WebP, because seventy of them lie in the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(500)  # pictures come when they are needed
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=60, method=6)


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_shown_without_complaint_or_barrier(look, open_page, house, screens: Path | None):
    language, size, _dark = LOOKS[look]
    pages = {user: page_of(look, open_page, house, user) for user in ("ana", "")}
    watched = {user: Watched(page, house.url) for user, page in pages.items()}
    faults, lines = [], []

    for place in PLACES:
        page, complaints = pages[place.user], watched[place.user].complaints
        go(page, house, place)
        found = axe(page)
        lines.append(told(place, found))
        faults += [f"{place.name}: {fault}" for fault in serious(found)]
        faults += [f"{place.name}: {text}" for text in complaints if not (place.name in MISSING and "404" in text)]
        complaints.clear()
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > size["width"]:
            faults.append(f"{place.name}: {wide} px wide")
        if page.locator("html").get_attribute("lang") != language:
            faults.append(f"{place.name}: not in {language}")
        levels = [1, *page.eval_on_selector_all("h1, h2, h3, h4", LEVELS)]
        if any(after > before + 1 for before, after in pairwise(levels)):
            faults.append(f"{place.name}: a level of headings is left out: {levels[1:]}")
        if page.locator("h1").count() != 1:
            faults.append(f"{place.name}: {page.locator('h1').count()} headings of the first level")
        if screens is not None:
            keep(page, screens / f"{place.name}-{look}.webp")
    if screens is not None:
        (screens / f"axe-{look}.txt").write_text("\n".join([HEAD, *lines, ""]))

    assert not faults, "\n".join(faults)


def test_a_first_visit_loads_little(open_page, house):
    loads = {user: Loads(page_of("es-phone", open_page, house, user)) for user in ("ana", "")}
    found = {place.name: loads[place.user].of(house, place) for place in PLACES if not place.through}

    assert min(found.values()) > 1000
    assert {name: size for name, size in found.items() if size > FIRST_PAINT_BYTES} == {}


class Loads:
    """How much comes over the line for a page, bytes, with nothing kept from before; pictures do not count."""

    def __init__(self, page: Page) -> None:
        self.page, self.kinds, self.sizes = page, {}, {}
        self.client = page.context.new_cdp_session(page)
        self.client.send("Network.enable")
        self.client.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self.client.on("Network.responseReceived", lambda event: self.kinds.update({event["requestId"]: event["type"]}))
        self.client.on(
            "Network.loadingFinished", lambda event: self.sizes.update({event["requestId"]: event["encodedDataLength"]})
        )

    def of(self, house: House, place: Place) -> int:
        """Of one page."""
        self.page.goto("about:blank")
        self.kinds.clear()
        self.sizes.clear()
        go(self.page, house, place)
        uncounted = {"Image", "Media", "EventSource"}
        return int(sum(size for key, size in self.sizes.items() if self.kinds.get(key) not in uncounted))
