"""Invitations, new passwords, roles, keys: who lets whom in, and what ends when."""

import email
import re
import socket
import time
from datetime import timedelta

import anyio
import anyio.to_thread
import pytest

from edge.demo.mailbox import Mailbox
from edge.store.keys import add_token
from tests.auth_rig import PASSWORD, AuthRig
from tests.web_rig import NOW, SITE

LINK = re.compile(r"/invitation/([\w-]+)")
NEW = "un puma cruza el rio"


@pytest.fixture
def rig(tmp_path):
    with AuthRig(tmp_path) as rig:
        rig.add("Ada", "admin")
        rig.add("Ana", "reviewer", email="ana@example.org")
        yield rig


def link_of(answer):
    assert answer.status_code == 200, answer.text
    [link] = set(LINK.findall(answer.text))
    return f"/invitation/{link}"


def accept(rig, link, browser=None, **values):
    browser = browser or rig.browser()
    browser.get(link)
    return browser, browser.post(link, {"password": NEW, "again": NEW} | values)


def test_an_invitation_makes_a_user_once_with_the_role_and_stations_it_says(rig):
    admin = rig.log_in("Ada")
    link = link_of(
        admin.post("/users/invite", {"role": "reviewer", "email": "bo@example.org", "stations": "cam-01 cam-02"})
    )

    browser, answer = accept(rig, link, name="Bo")

    assert answer.headers["location"] == "/"
    assert browser.get("/account").status_code == 200
    bo = rig.user("Bo")
    assert (bo.role, bo.stations, bo.email) == ("reviewer", {"cam-01", "cam-02"}, "bo@example.org")
    assert rig.browser().get(link).status_code == 404
    assert accept(rig, link, name="Eve")[1].status_code in (403, 404)
    assert (("Bo (invited by Ada)", "user.add", "user Bo")) in rig.audit()


@pytest.mark.parametrize(
    "name",
    ["\u0410na", "An\u03b1", "\uff21na", "  aNA ", "Ana\u200b", "\u202eanA", "An\0a", "Ana Ruiz", "Ana  Ruiz", "@mail"],
)
def test_nobody_gets_a_name_that_shows_as_anothers(rig, name):
    rig.add("Ana Ruiz")
    link = link_of(rig.log_in("Ada").post("/users/invite", {"role": "viewer"}))

    assert accept(rig, link, name=name)[1].status_code == 422
    assert accept(rig, link, name="Юлия")[1].status_code == 303


def test_an_invitation_is_not_spent_by_looking_nor_by_a_mistake_and_ends_after_a_week(rig):
    link = link_of(rig.log_in("Ada").post("/users/invite", {"role": "viewer"}))
    browser = rig.browser()

    assert browser.get(link).status_code == browser.get(link).status_code == 200
    assert accept(rig, link, browser, name="Ana")[1].status_code == 422  # the name is taken
    assert accept(rig, link, browser, name="Bo", password="short")[1].status_code == 422
    assert accept(rig, link, browser, name="Bo", again="something else")[1].status_code == 422
    rig.clock.at += timedelta(days=8)

    assert browser.get(link).status_code == 404


def test_an_invitation_can_be_taken_back(rig):
    admin = rig.log_in("Ada")
    link = link_of(admin.post("/users/invite", {"role": "admin"}))
    [pk] = re.findall(r"/users/invitations/(\d+)/revoke", admin.get("/users").text)

    admin.post(f"/users/invitations/{pk}/revoke")

    assert rig.browser().get(link).status_code == 404
    assert admin.post(f"/users/invitations/{pk}/revoke").status_code == 404


def test_a_link_for_a_new_password_ends_sessions_older_links_and_the_old_password(rig):
    admin, ana = rig.log_in("Ada"), rig.log_in("Ana")
    pk = rig.user("Ana").pk
    older = link_of(admin.post(f"/users/{pk}/reset"))
    link = link_of(admin.post(f"/users/{pk}/reset"))
    assert rig.browser().get(older).status_code == 404

    browser, answer = accept(rig, link)

    assert answer.status_code == 303
    assert browser.get("/account").status_code == 200
    assert ana.get("/account").status_code == 303
    rig.log_in("Ana", password=NEW)
    again = rig.browser()
    again.get("/login")
    assert again.post("/login", {"name": "Ana", "password": PASSWORD}).status_code == 422


def test_a_link_of_somebody_who_was_switched_off_opens_nothing(rig):
    admin = rig.log_in("Ada")
    pk = rig.user("Ana").pk
    link = link_of(admin.post(f"/users/{pk}/reset"))

    admin.post(f"/users/{pk}/active", {"active": "false"})

    assert rig.browser().get(link).status_code == 404


def test_ones_own_password_changes_with_the_old_one_and_logs_out_everywhere_else(rig):
    here, there = rig.log_in("Ana"), rig.log_in("Ana")
    before = here.cookies["tigrillo"]

    assert here.post("/account/password", {"password": "wrong", "new": NEW, "again": NEW}).status_code == 422
    assert (
        here.post("/account/password", {"password": PASSWORD, "new": "Ana1234567", "again": "Ana1234567"}).status_code
        == 422
    )
    assert here.post("/account/password", {"password": PASSWORD, "new": NEW, "again": NEW}).status_code == 303

    assert here.cookies["tigrillo"] != before
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 303


def test_another_mail_address_needs_the_password_for_links_to_a_new_one_go_there(rig):
    ana = rig.log_in("Ana")

    for own in ("", "a wrong password"):
        assert ana.post("/account", {"email": "eve@example.org", "own": own}).status_code == 422
        assert rig.user("Ana").email == "ana@example.org"

    assert ana.post("/account", {"email": "ana@example.org", "language": "es"}).status_code == 303  # the same
    assert ana.post("/account", {"email": "ana.new@example.org", "own": PASSWORD}).status_code == 303
    assert rig.user("Ana").email == "ana.new@example.org"


def test_nobody_takes_the_address_of_somebody_else_who_then_could_log_in_by_it_no_more(rig):
    ada = rig.log_in("Ada")

    answer = ada.post("/account", {"email": "ANA@example.org", "own": PASSWORD})

    assert answer.status_code == 422
    assert "somebody else here has this address" in answer.text
    assert rig.user("Ada").email == ""


def test_logging_out_everywhere_else_keeps_this_browser(rig):
    here, there = rig.log_in("Ana"), rig.log_in("Ana")
    other = rig.log_in("Ada")

    here.post("/account/sessions/end")

    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 303
    [session] = re.findall(r"/account/sessions/(\d+)/end", rig.log_in("Ana").get("/account").text)
    assert other.post(f"/account/sessions/{session}/end").status_code == 404  # nobody ends another's


def test_another_role_ends_the_sessions_that_had_the_old_one(rig):
    admin, ana = rig.log_in("Ada"), rig.log_in("Ana")

    answer = admin.post(f"/users/{rig.user('Ana').pk}/role", {"role": "viewer", "stations": "cam-01"})

    assert answer.status_code == 303
    assert ana.get("/account").status_code == 303
    assert (rig.user("Ana").role, rig.user("Ana").stations) == ("viewer", {"cam-01"})


def test_what_is_taken_from_somebody_ends_the_streams_that_are_open(rig):
    async def watch(change) -> bool:
        with rig.web.live.watching(None) as stream:
            await anyio.to_thread.run_sync(change)
            return stream.ended

    admin = rig.log_in("Ada")
    pk = rig.user("Ana").pk

    assert anyio.run(watch, lambda: admin.post(f"/users/{pk}/role", {"role": "viewer"}))
    assert anyio.run(watch, lambda: admin.post(f"/users/{pk}/active", {"active": "false"}))
    assert not anyio.run(watch, lambda: admin.post(f"/users/{pk}/active", {"active": "true"}))
    assert not anyio.run(watch, lambda: rig.log_in("Ana"))


def test_the_last_admin_stays_one(rig):
    admin = rig.log_in("Ada")
    pk = rig.user("Ada").pk

    demoted = admin.post(f"/users/{pk}/role", {"role": "manager"})
    disabled = admin.post(f"/users/{pk}/active", {"active": "false"})

    assert demoted.status_code == disabled.status_code == 422
    assert "last admin" in demoted.text
    admin.post(f"/users/{rig.user('Ana').pk}/role", {"role": "admin"})
    assert admin.post(f"/users/{pk}/role", {"role": "manager"}).status_code == 303
    assert rig.user("Ada").role == "manager"


@pytest.mark.parametrize("change", [("role", {"role": "viewer"}), ("active", {"active": "false"})])
def test_an_admin_who_is_one_no_more_comes_back_by_no_link_that_was_kept_aside(rig, change):
    rig.add("Eve", "admin")
    eve, ada = rig.log_in("Eve"), rig.log_in("Ada")
    invited = link_of(eve.post("/users/invite", {"role": "admin"}))
    taken_over = link_of(eve.post(f"/users/{rig.user('Ada').pk}/reset"))
    kept = link_of(ada.post("/users/invite", {"role": "viewer"}))
    what, values = change

    assert ada.post(f"/users/{rig.user('Eve').pk}/{what}", values).status_code == 303

    assert [rig.browser().get(link).status_code for link in (invited, taken_over, kept)] == [404, 404, 200]


def test_a_role_or_station_that_there_is_not_changes_nothing(rig):
    admin = rig.log_in("Ada")
    pk = rig.user("Ana").pk

    for values in ({"role": "king"}, {"role": "viewer", "stations": "cam-99"}):
        answer = admin.post(f"/users/{pk}/role", values)
        assert answer.status_code == 422
        assert "there" in answer.text
    assert admin.post("/users/4711/role", {"role": "viewer"}).status_code == 404
    assert admin.post(f"/users/{10**30}/role", {"role": "viewer"}).status_code == 404
    assert rig.user("Ana").role == "reviewer"


def test_nobody_but_admins_comes_to_the_users(rig):
    ana = rig.log_in("Ana")

    assert ana.get("/users").status_code == 403
    assert ana.post("/users/invite", {"role": "admin"}).status_code == 403


def test_a_key_gives_what_was_chosen_and_its_user_may_and_below_the_api_only(rig):
    ana = rig.log_in("Ana")

    assert ana.post("/account/tokens", {"name": "R script", "scopes": ["see"]}).status_code == 422  # no password
    answer = ana.post("/account/tokens", {"name": "R script", "scopes": ["see", "administer"], "confirm": PASSWORD})
    [key] = re.findall(r"tgl_[\w-]{43}", answer.text)
    program = rig.browser(headers={"authorization": f"Bearer {key}"})

    assert program.get("/api/v1/me").json()["rights"] == ["see"]
    assert program.get("/account").status_code == 303
    assert key not in ana.get("/account").text
    [pk] = re.findall(r"/account/tokens/(\d+)/revoke", ana.get("/account").text)
    ana.post(f"/account/tokens/{pk}/revoke")
    assert program.get("/api/v1/me").status_code == 401


def test_a_key_loses_what_its_user_loses_and_ends_in_time(rig):
    now = rig.clock.now()
    ana = rig.user("Ana")
    with rig.store.transaction() as connection:
        key = add_token(connection, ana, "x", ["see", "review"], now=now, who="test", days=7)
    program = rig.browser(headers={"authorization": f"bearer {key}"})
    assert program.get("/api/v1/me").json()["rights"] == ["review", "see"]

    rig.log_in("Ada").post(f"/users/{ana.pk}/role", {"role": "viewer", "stations": "cam-02"})

    assert program.get("/api/v1/me").json() == {
        "name": "Ana",
        "role": "viewer",
        "rights": ["see"],
        "stations": ["cam-02"],
        "via": "token",
    }
    rig.clock.at += timedelta(days=7)
    assert program.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("sent", ["Bearer", "Bearer x", "Bearer tgl_", "Basic QTpi", "Bearer tgl_" + "é" * 20])
def test_a_key_that_is_none_opens_nothing(rig, sent):
    assert rig.browser(headers={"authorization": sent.encode()}).get("/api/v1/me").status_code == 401


def test_names_that_would_do_harm_are_refused_or_shown_as_text(rig):
    admin = rig.log_in("Ada")
    link = link_of(admin.post("/users/invite", {"role": "viewer", "email": ""}))

    for name in ("<img src=x onerror=1>", "a\r\nset-cookie: x=1", "a\u202eb", "", "x" * 65, "\u200b", "Ana ", "ＡＮＡ"):
        assert accept(rig, link, name=name)[1].status_code == 422, name
    _browser, answer = accept(rig, link, name="Ñusta O'Brien & co.")
    assert answer.status_code == 303
    assert "O&#39;Brien &amp; co." in admin.get("/users").text


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


MAILING = SITE.replace(
    "channels: [{name: log, use: console}]",
    "channels: [{name: log, use: console}, {name: post, use: email, host: 127.0.0.1, port: PORT, security: none, "
    "sender: traps@example.org}]",
).replace("web: {}", "web: {address: 'https://traps.example.org'}")


def test_a_link_for_a_new_password_comes_by_mail_and_the_answer_tells_nobody_anything(tmp_path, free_port):
    with (
        Mailbox(tmp_path / "mails", free_port) as mailbox,
        AuthRig(tmp_path, MAILING.replace("PORT", str(free_port))) as rig,
    ):
        rig.add("Ana", "reviewer", email="ana@example.org", language="es")
        browser = rig.browser(headers={"host": "evil.example"})
        browser.get("/forgot")

        nobody = browser.post("/forgot", {"email": "eva@example.org"})
        known = browser.post("/forgot", {"email": " ANA@example.org "})

        assert nobody.status_code == known.status_code == 200
        assert nobody.text == known.text
        until = time.monotonic() + 20
        while not mailbox.messages() and time.monotonic() < until:
            time.sleep(0.02)
        [path] = mailbox.messages()
        letter = email.message_from_bytes(path.read_bytes())
        text = letter.get_payload()[0].get_payload(decode=True).decode()
        assert letter["To"] == "ana@example.org"
        assert "https://traps.example.org/invitation/" in text
        assert "evil" not in text
        _browser, answer = accept(rig, f"/invitation/{LINK.search(text)[1]}")
        assert answer.status_code == 303


def test_without_mail_the_page_says_whom_to_ask(rig):
    browser = rig.browser()

    assert "sends no mail" in browser.get("/forgot").text
    assert browser.post("/forgot", {"email": "ana@example.org"}).status_code == 404


def test_every_change_of_people_is_written_down(rig):
    admin = rig.log_in("Ada")
    pk = rig.user("Ana").pk
    admin.post(f"/users/{pk}/role", {"role": "manager"})
    admin.post(f"/users/{pk}/active", {"active": "false"})
    admin.post(f"/users/{pk}/active", {"active": "true"})
    admin.post(f"/users/{pk}/reset")
    admin.post("/users/invite", {"role": "viewer", "email": "bo@example.org"})

    said = [(who, action, subject) for who, action, subject in rig.audit() if who == "Ada" and action != "user.login"]
    assert said == [
        ("Ada", "user.role", "user Ana"),
        ("Ada", "user.disable", "user Ana"),
        ("Ada", "user.enable", "user Ana"),
        ("Ada", "user.reset", "user Ana"),
        ("Ada", "user.invite", "user bo@example.org"),
    ]
    assert rig.clock.now() == NOW
