"""An encounter arrives live: a running agent → mosquitto → the daemon, with real models → the page of a ranger."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.browser.conftest import PHONE
from tests.browser.house import House
from tests.e2e.conftest import broker  # noqa: F401  # because it is the fixture

AGENT = {
    "station": "quebrada-norte",
    "state_dir": "state",
    "spool": {"folder": "spool", "max_bytes": 100_000_000},
    "camera": {"use": "replay", "path": "pictures", "loop": False},
    "trigger": {"use": "interval", "every_s": 0.5},
}


@pytest.fixture
def empty_house(tmp_path, broker):  # noqa: F811  # because it is the fixture
    with House(tmp_path / "site", agent_port=broker.port, seeded=False) as house:
        yield house


def test_an_encounter_appears_by_itself_while_somebody_looks(empty_house, broker, open_page, shared_media, tmp_path):  # noqa: F811  # because it is the fixture
    page = open_page(empty_house.url, size=PHONE, language="es", user="juan")
    page.goto(empty_house.url)
    assert page.locator("#encounters li").count() == 0
    assert page.get_by_text("Aún no hay animales").is_visible()
    folder = tmp_path / "agent"
    (folder / "pictures").mkdir(parents=True)
    shutil.copy(shared_media / "stills" / "american_black_bear.jpg", folder / "pictures")
    (folder / "agent.yaml").write_text(json.dumps(AGENT | {"broker": {"host": "127.0.0.1", "port": broker.port}}))

    agent = subprocess.Popen(
        [sys.executable, "-m", "raspberry_pi.agent", str(folder / "agent.yaml")],
        env=os.environ | {"TIGRILLO_LANG": "en"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        page.locator("#encounters li").first.wait_for(timeout=45_000)  # nobody loads the page again
    finally:
        agent.terminate()
        agent.wait(20)

    card = page.locator("#encounters li").first
    assert "quebrada-norte" in card.inner_text()
    assert page.get_by_text("Aún no hay animales").count() == 0
    card.locator("img").evaluate("each => each.decode()")
    assert card.locator("img").evaluate("each => each.naturalWidth") > 300
    assert card.locator("svg.boxes rect").count() == 1
