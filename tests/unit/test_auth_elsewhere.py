"""Logging in with another service, by a plugin that plays one."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import BaseModel, ConfigDict

from edge.api import Identity, LoginSpec, NoticeRefused, hookimpl
from edge.config import check_logins
from edge.errors import ConfigError
from edge.registry import load_registry
from server.app import create_app
from server.auth.desk import Desk
from tests.auth_rig import AuthRig
from tests.web_rig import SITE

WITH_CLUB = SITE.replace("web: {}", "web: {logins: {club: {address: 'https://club.example'}}}")


class ClubConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")
    address: str


@dataclass
class Club:
    """Lets in whoever brings a code: it is the mail address."""

    config: ClubConfig

    def start(self, redirect_uri, state):
        return f"{self.config.address}/authorize?redirect_uri={redirect_uri}&state={state}"

    def finish(self, params, redirect_uri):
        assert redirect_uri == "http://testserver/login/club/back"
        if "error" in params:
            raise NoticeRefused("you said no there")
        return Identity("4711", params["code"])


class Plugin:
    @hookimpl
    def tigrillo_logins(self):
        return [
            LoginSpec("club", ClubConfig, lambda config, _services: nullcontext(Club(config)), "Log in with the club")
        ]


class Point:
    """An entry point."""

    name, value = "club", "tests.club"

    def load(self):
        return Plugin()


def test_a_check_reads_the_settings_with_the_plugins_own_model(tmp_path):
    registry = load_registry([Point()])

    check_logins(tmp_path / "site.yaml", WITH_CLUB, registry)
    with pytest.raises(ConfigError, match=r"web\.logins\.club\.adress: nothing is called 'adress' here; did you mean"):
        check_logins(tmp_path / "site.yaml", WITH_CLUB.replace("{address:", "{adress:"), registry)


@pytest.fixture
def rig(tmp_path):
    with AuthRig(tmp_path, WITH_CLUB) as rig:
        rig.add("Ana", "reviewer", email="ana@example.org", password="")
        object.__setattr__(rig.web, "registry", replace(rig.web.registry, logins=load_registry([Point()]).logins))
        rig.app = create_app(rig.web)
        rig.app.state.desk = rig.desk = Desk(rig.web, rig.hasher)
        yield rig


def begin(rig, browser):
    assert "Log in with the club" in browser.get("/login").text
    where = urlsplit(browser.get("/login/club/start").headers["location"])
    assert (where.scheme, where.netloc) == ("https", "club.example")
    return parse_qs(where.query)["state"][0]


def test_who_the_service_names_is_let_in(rig):
    browser = rig.browser()
    state = begin(rig, browser)

    answer = browser.get("/login/club/back", params={"state": state, "code": "Ana@example.org"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/account").status_code == 200


def test_nobody_is_made_by_it_and_what_the_service_says_is_told(rig):
    browser = rig.browser()

    for params, said in (
        ({"code": "<b>eve@example.org"}, "&lt;b&gt;eve"),
        ({"error": "x"}, "you said no there"),
        ({}, "not set up"),
    ):
        answer = browser.get("/login/club/back", params={"state": begin(rig, browser), **params})
        assert answer.status_code == 422
        assert said in answer.text


def test_an_answer_for_another_browser_is_not_taken(rig):
    attacker, victim = rig.browser(), rig.browser()
    state = begin(rig, attacker)
    begin(rig, victim)

    for browser, brought in ((victim, state), (rig.browser(), state), (victim, ""), (victim, "é")):
        answer = browser.get("/login/club/back", params={"state": brought, "code": "ana@example.org"})
        assert answer.status_code == 422
        assert browser.get("/account").status_code == 303


def test_a_service_that_the_site_has_not_set_up_is_not_there(tmp_path):
    with AuthRig(tmp_path) as rig:
        rig.add("Ana")
        assert rig.browser().get("/login/club/start").status_code == 404
        assert "club" not in rig.browser().get("/login").text
