"""An admin edits a rule and tries it on the past, then breaks the configuration, which puts itself back; a card."""

import re
import socket
from pathlib import Path

import pytest

from edge.uploads import UploadBook
from tests.browser.conftest import PHONE
from tests.browser.house import House
from tests.e2e.waiting import HOST, wait_until

OUTCOME_MS = 60_000  # a restart with its models, and ten seconds in which everything must stay up


@pytest.fixture(scope="module")
def own_house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("changes") / "site", language="en", days=3) as house:
        house.settled()
        yield house


def test_a_rule_is_edited_tried_on_the_past_and_kept_with_the_comments_of_the_file(own_house, open_page):
    page = open_page(own_house.url, size=PHONE, language="en", user="ana")
    page.goto(f"{own_house.url}/alerts/rules")
    page.locator("main .card", has_text="perhaps a cat").get_by_role("link", name="Edit").click()
    page.get_by_label("Least score").fill("0.7")
    page.get_by_role("button", name="Check").click()

    assert "+" in page.locator("pre.diff").inner_text()
    page.get_by_role("button", name="Simulate").click()
    page.locator("#trial table").wait_for(timeout=OUTCOME_MS)
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".notice.good").first.wait_for(timeout=OUTCOME_MS)

    text = own_house.site.read_text("utf-8")
    assert re.search(r"name: perhaps a cat.*min_score: 0\.7\b", text)
    assert "# What everybody waits for." in text
    assert "# the radio room's printer" in text


def test_a_configuration_that_does_not_come_up_is_rolled_back_while_the_admin_looks(own_house, open_page):
    page = open_page(own_house.url, language="en", user="ana")
    before = own_house.site.read_text("utf-8")
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        page.goto(f"{own_house.url}/system/configuration")
        editor = page.locator("textarea[name=text]")
        editor.fill(editor.input_value().replace(f"port: {own_house.port}", f"port: {taken.getsockname()[1]}"))
        page.get_by_role("button", name="Check").click()
        page.get_by_role("button", name="Apply").click()

        outcome = page.locator("#outcome[data-state=rolled_back]")
        outcome.wait_for(timeout=2 * OUTCOME_MS)

    assert own_house.site.read_text("utf-8") == before
    assert page.locator("#outcome .notice.bad").is_visible()
    page.goto(own_house.url)
    assert page.locator("h1").inner_text() == "Now"


def test_a_configuration_with_a_fault_is_refused_with_its_place(own_house, open_page):
    page = open_page(own_house.url, language="en", user="ana")
    page.goto(f"{own_house.url}/system/configuration")
    editor = page.locator("textarea[name=text]")
    editor.fill(editor.input_value().replace("use: rollup", "use: rolup"))
    page.get_by_role("button", name="Check").click()

    fault = page.locator("[data-fault]").inner_text()
    assert "stages[2].use" in fault
    assert "rollup" in fault
    assert page.get_by_role("button", name="Apply").count() == 0


def test_a_card_is_dropped_on_the_page_and_sent_over_a_link_that_breaks(own_house, open_page, tmp_path):
    pictures = sorted((own_house.folder / "pictures").iterdir())[:3]
    for station in ("salado", "filo-alto"):
        folder = tmp_path / "card" / station / "DCIM" / "100RECNX"
        folder.mkdir(parents=True)
        (folder / "Thumbs.db").write_bytes(b"junk")
        for picture in pictures:
            (folder / picture.name).write_bytes(picture.read_bytes() + station.encode())
    page = open_page(own_house.url, language="en", user="ana")
    page.goto(f"{own_house.url}/upload")

    drop(page, "#drop", tmp_path / "card")
    page.locator("#by-station li").nth(1).wait_for()
    chosen, stations = page.locator("#what").inner_text(), page.locator("#by-station").inner_text()
    page.context.set_offline(True)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("No connection.").wait_for()
    page.context.set_offline(False)
    page.get_by_text("All is sent.").wait_for()

    assert chosen.startswith("6 files")
    assert stations.split("\n") == ["Station filo-alto: 3 files", "Station salado: 3 files"]
    with UploadBook(own_house.state) as book:
        [upload] = book.uploads()
        wait_until(lambda: book.sums(upload.id).files == {"taken": 6}, 30)
        assert {each.station for each in book.files(upload.id)} == {"salado", "filo-alto"}


def test_an_upload_that_was_cancelled_elsewhere_says_so_and_begins_another(own_house, open_page, tmp_path):
    picture = tmp_path / "one.jpg"
    picture.write_bytes(next((own_house.folder / "pictures").iterdir()).read_bytes() + b"one more")
    page = open_page(own_house.url, language="en", user="ana")
    page.goto(f"{own_house.url}/upload")

    def cancelled(route):
        with UploadBook(own_house.state) as book:
            book.set_upload(book.uploads()[0].id, "cancelled")
        route.continue_()

    page.route(re.compile(r"/files/\d+$"), cancelled, times=1)
    page.locator("#f-station").fill("salado")
    page.locator("#f-files").set_input_files(picture)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("ended elsewhere").wait_for()
    page.get_by_role("button", name="Send").click()
    page.get_by_text("All is sent.").wait_for()

    with UploadBook(own_house.state) as book:
        assert [each.state for each in book.uploads()[:2]] == ["finished", "cancelled"]


def drop(page, target: str, folder: Path) -> None:
    """Drop a folder of this machine, as the mouse does."""
    box = page.locator(target).bounding_box()
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    browser = page.context.new_cdp_session(page)
    for step in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        browser.send("Input.dispatchDragEvent", {"type": step, "data": data, **place})
