"""An admin edits a rule and tries it on the past, then breaks the configuration, which puts itself back."""

import re
import socket

import pytest

from tests.browser.conftest import PHONE
from tests.browser.house import House
from tests.e2e.waiting import HOST

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
