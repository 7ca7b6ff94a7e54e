"""The first run: one admin, only with the code, and the site's file says what was asked."""

import re
import stat

import pytest
import yaml

from server.auth import setup_code
from server.auth.first_site import FirstSite, fault_of
from tests.auth_rig import PASSWORD, AuthRig
from tests.web_rig import SITE

COMMENTED = SITE.replace("stations:\n", "# where the cameras are\nstations:\n")
WITHOUT = re.sub(r"stations:\n(  - .*\n)+", "", COMMENTED).replace("# where the cameras are\n", "# no cameras yet\n")


@pytest.fixture
def rig(tmp_path):
    with AuthRig(tmp_path, WITHOUT) as rig:
        yield rig


def values(rig, **others):
    return {
        "code": setup_code.code_of(rig.web),
        "name": "Ada",
        "password": PASSWORD,
        "again": PASSWORD,
        "site": "Reserva La Esperanza",
        "language": "es",
        "timezone": "America/Lima",
        "station": "río 1",
        "position": "-4,60971; -74.08175",
    } | others


def begin(rig, **others):
    browser = rig.browser()
    browser.get("/setup")
    return browser, browser.post("/setup", values(rig, **others))


def test_before_there_is_anybody_every_page_leads_to_the_first_run(rig):
    browser = rig.browser()

    first = browser.get("/account")
    second = browser.get(first.headers["location"])

    assert second.headers["location"] == "/setup"
    page = browser.get("/setup")
    assert page.status_code == 200
    assert setup_code.code_of(rig.web) not in page.text
    assert 'value="America/Lima"' in page.text  # every zone is offered


def test_it_makes_the_admin_and_changes_the_sites_file_and_leads_to_the_first_page(rig):
    browser, answer = begin(rig)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/users").status_code == 200
    text = rig.path.read_text()
    said = yaml.safe_load(text)
    assert said["site"] == {"name": "Reserva La Esperanza", "language": "es", "timezone": "America/Lima"}
    assert said["stations"] == [{"name": "rio-1", "latitude": -4.60971, "longitude": -74.08175}]
    assert "# no cameras yet" in text
    assert rig.user("Ada").role == "admin"
    assert ("first run", "user.add", "user Ada") in rig.audit()


def test_it_can_be_done_once(rig):
    code = setup_code.code_of(rig.web)
    begin(rig, station="")

    assert rig.browser().get("/setup").headers["location"] == "/login"
    browser = rig.browser()
    browser.get("/login")
    answer = browser.post("/setup", values(rig, code=code, name="Eve"))
    assert answer.headers["location"] == "/login"
    assert [who for who, action, _subject in rig.audit() if action == "user.add"] == ["first run"]


def test_nobody_gets_in_without_the_code_nor_by_trying_codes(rig):
    codes = [begin(rig, code="AAAA-AAAA")[1].status_code for _time in range(6)]

    assert codes == [422] * 5 + [429]
    assert begin(rig)[1].status_code == 429


def test_the_code_is_for_the_services_user_alone_and_may_be_typed_as_people_do(rig):
    code = setup_code.code_of(rig.web)

    assert stat.S_IMODE((rig.web.own_dir / "setup-code").stat().st_mode) == 0o600
    assert setup_code.is_code(rig.web, f" {code.lower().replace('-', ' ')} ")
    assert not setup_code.is_code(rig.web, "")
    assert not setup_code.is_code(rig.web, "é" * 30)


def test_mistakes_are_all_said_at_once_and_what_was_typed_stays(rig):
    _browser, answer = begin(rig, name="", password="short", again="x", timezone="Bogota", site="La <b>Selva</b>")

    assert answer.status_code == 422
    for text in ("1 to 64 letters", "10 characters at least", "no time zone", "La &lt;b&gt;Selva", "rio-1"):
        assert text in answer.text, text
    assert rig.audit() == []


@pytest.mark.parametrize(
    ("field", "site"),
    [
        ("site", FirstSite(" ", "en", "UTC")),
        ("site", FirstSite("a\nb", "en", "UTC")),
        ("language", FirstSite("a", "fr", "UTC")),
        ("timezone", FirstSite("a", "en", "../../etc/passwd")),
        ("station", FirstSite("a", "en", "UTC", "../x")),
        ("position", FirstSite("a", "en", "UTC", "x", "91, 0")),
        ("position", FirstSite("a", "en", "UTC", "x", "4.6")),
        ("", FirstSite("a", "en", "UTC", "x", "4.6 -74.1")),
        ("", FirstSite("a", "en", "UTC")),
    ],
)
def test_what_was_typed_is_looked_at(field, site):
    assert fault_of(site)[0] == field


def test_a_site_that_can_not_be_written_is_said_and_the_admin_is_in(rig):
    rig.path.write_text(rig.path.read_text() + "typo: 1\n")

    browser, answer = begin(rig, station="")

    assert answer.status_code == 200
    assert "could not be changed" in answer.text
    assert "typo" in answer.text
    assert browser.get("/users").status_code == 200


def test_the_code_is_told_while_there_is_nobody_and_forgotten_then(rig):
    said = []
    object.__setattr__(rig.web, "log", Heard(said))
    setup_code.announce(rig.web)
    code = setup_code.code_of(rig.web)
    assert said[0]["setup_code"] == code
    assert said[0]["open"] == "http://127.0.0.1:8080/setup"

    rig.add("Ada", "admin")
    setup_code.announce(rig.web)

    assert len(said) == 1
    assert not (rig.web.own_dir / "setup-code").exists()


class Heard:
    """A log that keeps what it is told."""

    def __init__(self, said):
        self._said = said

    def info(self, _event, **values):
        self._said.append(values)
