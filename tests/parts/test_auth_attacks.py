"""Forged changes and guessed passwords."""

from datetime import timedelta

import pytest

from edge.passwords import MOST_WAITING, Hasher, TooManyLogIns, fault_of
from edge.store.users import UserRefused, checked_name, key_of
from server.auth import forgery
from server.auth.first_site import FirstSite
from server.auth.first_site import fault_of as fault_of_site
from server.auth.throttle import network_of
from tests.auth_rig import PASSWORD, AuthRig
from tests.web_rig import SITE

FORM = {"language": "es", "email": "", "csrf": ""}


@pytest.fixture
def rig(tmp_path):
    with AuthRig(tmp_path) as rig:
        rig.add("Ana", "reviewer")
        rig.add("Eva", "viewer")
        yield rig


def language(rig):
    return rig.user("Ana").language


# forged changes


@pytest.mark.parametrize("sent", ["", "0" * 64, "é", "another's", "form's"])
def test_a_change_without_the_sessions_own_token_is_refused_and_the_page_says_what_to_do(rig, sent):
    ana, eva = rig.log_in("Ana"), rig.log_in("Eva")
    visitor = rig.browser()
    visitor.get("/login")
    token = {"another's": eva.csrf, "form's": visitor.csrf}.get(sent, sent)

    answer = ana.post("/account", {**FORM, "csrf": token})

    assert answer.status_code == 403
    assert "Load the page you came from again" in answer.text
    assert language(rig) == ""


def test_the_token_comes_as_a_field_of_either_kind_of_form_or_as_a_header(rig):
    ana = rig.log_in("Ana")
    token = ana.csrf

    for language_, options in (
        ("es", {"data": {"language": "es", "csrf": token}}),
        ("en", {"data": {"language": "en", "csrf": token}, "files": {"x": b"1"}}),
        ("es", {"data": {"language": "es", "csrf": ""}, "headers": {"x-csrf-token": token}}),
    ):
        assert ana.request("POST", "/account", **options).status_code == 303
        assert language(rig) == language_


def test_a_change_from_another_place_is_refused_even_with_a_token(rig):
    values = {"name": "Ana", "password": PASSWORD, "language": "es", "next": "/"}
    for path in ("/account", "/login", "/language", "/forgot"):
        browser = rig.browser() if path in ("/login", "/forgot") else rig.log_in("Ana")
        browser.get("/login")
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": ""},
            {"origin": "http://testserver.evil.example"},
            {"origin": "http://testserver:81"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ):
            assert browser.post(path, values, headers=headers).status_code == 403, (path, headers)
    assert language(rig) == ""


def test_our_own_origin_is_taken_by_host_and_by_the_sites_address(tmp_path):
    with AuthRig(tmp_path, SITE.replace("web: {}", "web: {address: 'https://traps.example.org'}")) as rig:
        rig.add("Ana")
        for origin in ("http://testserver", "https://testserver", "https://traps.example.org"):
            browser = rig.browser()
            browser.get("/login")
            said = {"origin": origin, "sec-fetch-site": "same-origin"}
            answer = browser.post("/login", {"name": "Ana", "password": PASSWORD}, headers=said)
            assert answer.status_code == 303, origin
        over_tls = rig.browser(https=True)
        over_tls.get("/login")
        values, said = {"name": "Ana", "password": PASSWORD}, {"origin": "http://testserver"}
        assert over_tls.post("/login", values, headers=said).status_code == 403


def test_nobody_is_logged_in_by_another_sites_form(rig):
    """Log-in CSRF: the form's token needs the cookie of the very browser that loaded it."""
    attacker, victim = rig.browser(), rig.browser()
    attacker.get("/login")
    victim.get("/login")

    answer = victim.post("/login", {"name": "Eva", "password": PASSWORD, "csrf": attacker.csrf})

    assert answer.status_code == 403
    bare = rig.browser()
    assert bare.post("/login", {"name": "Eva", "password": PASSWORD, "csrf": attacker.csrf}).status_code == 403


def test_a_form_of_somebody_who_lacks_the_right_is_refused_before_it_is_read(rig, monkeypatch):
    """It may be an upload of 300 MB, which would lie on this machine's disk before the answer."""
    eva = rig.log_in("Eva")
    monkeypatch.setattr(forgery, "_field", None)  # nobody reads it

    answer = eva.post("/api/v1/uploads/form", {}, files={"files": ("a.jpg", b"x")})

    assert answer.status_code == 403
    assert "You may not do this" in answer.text


def test_keys_need_no_token_because_no_browser_sends_them_by_itself(rig):
    browser = rig.browser(headers={"authorization": "Bearer tgl_x", "origin": "https://evil.example"})

    assert browser.post("/api/v1/me").status_code == 405  # not 403


# guessed passwords


def guess(rig, name="Ana", *, times=1, browser=None, address="198.51.100.9", password="a wrong password"):
    browser = browser or rig.browser(address=address)
    browser.get("/login")
    answers = [browser.post("/login", {"name": name, "password": password}) for _time in range(times)]
    return [answer.status_code for answer in answers], answers[-1]


@pytest.mark.parametrize("name", ["Ana", "Nobody At All"])
def test_after_five_failures_a_name_has_to_wait_longer_and_longer_but_a_minute_at_most(rig, name):
    codes, _last = guess(rig, name, times=5)
    assert codes == [422] * 5
    waits = []

    for number in range(9):
        codes, last = guess(rig, name, address=f"198.51.100.{number}", password=PASSWORD)
        assert codes == [429]  # not looked at, also when it is right
        waits.append(int(last.headers["retry-after"]))
        rig.clock.at += timedelta(seconds=waits[-1])
        guess(rig, name, address=f"203.0.113.{number}")

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_page_says_in_the_readers_language_when_to_try_again(rig):
    guess(rig, times=6)
    browser = rig.browser(headers={"accept-language": "es"})

    codes, last = guess(rig, browser=browser)

    assert codes == [429]
    assert "Inténtelo de nuevo a las 10:00:01, dentro de 1 segundo" in last.text


def test_tries_are_counted_before_the_password_is_looked_at(rig):
    """Counted before the password is looked at: no two of them pass as the same failure."""
    looked = []
    real = rig.desk.hasher.verify
    rig.desk.hasher.verify = lambda kept, said: looked.append(1) or real(kept, said)

    guess(rig, times=30)

    assert len(looked) == 5


def test_the_wait_survives_a_restart(rig, tmp_path):
    guess(rig, times=5)
    from server.app import create_app  # noqa: PLC0415  # because only this test starts again

    rig.app = create_app(rig.web)

    assert guess(rig)[0] == [429]


def test_an_address_that_tries_many_names_waits_and_others_do_not(rig):
    for number in range(20):
        guess(rig, f"name {number}")

    assert guess(rig, "Ana", password=PASSWORD)[0] == [429]
    assert guess(rig, "Ana", password=PASSWORD, address="192.0.2.50")[0] == [303]


def test_an_own_account_washes_no_address_clean(rig):
    for number in range(10):
        guess(rig, f"name {number}")
        guess(rig, f"other {number}")
        if number < 9:
            assert guess(rig, "Eva", password=PASSWORD)[0] == [303]

    assert guess(rig, "Eva", password=PASSWORD)[0] == [429]


def test_who_logged_in_with_a_browser_before_is_not_locked_out_there(rig):
    home = rig.log_in("Ana")
    home.post("/logout")
    guess(rig, times=5)
    assert guess(rig, password=PASSWORD, address="192.0.2.99")[0] == [429]

    assert guess(rig, browser=home, password=PASSWORD)[0] == [303]


def test_a_browser_that_logged_in_before_may_not_guess_for_ever_either_nor_help_with_another_name(rig):
    home = rig.log_in("Ana")
    home.post("/logout")

    assert guess(rig, browser=home, times=6)[0] == [422] * 5 + [429]
    guess(rig, "Eva", times=5)
    assert guess(rig, "Eva", browser=rig_with(rig, home), password=PASSWORD)[0] == [429]


def rig_with(rig, browser):
    """The same cookies, from another address."""
    other = rig.browser(address="192.0.2.123")
    other.cookies.update(browser.cookies)
    return other


def test_an_hour_without_a_try_forgives_and_so_does_a_log_in(rig):
    guess(rig, times=4)
    assert guess(rig, password=PASSWORD)[0] == [303]
    guess(rig, times=4)
    assert guess(rig, password=PASSWORD)[0] == [303]

    guess(rig, times=6)
    rig.clock.at += timedelta(hours=1, seconds=1)

    assert guess(rig, times=5)[0] == [422] * 5


def test_ones_own_password_can_not_be_guessed_from_an_open_session(rig):
    ana = rig.log_in("Ana")
    values = {"password": "a wrong password", "new": "un puma cruza", "again": "un puma cruza"}

    codes = [ana.post("/account/password", values).status_code for _time in range(6)]

    assert codes == [422] * 5 + [429]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_customers_whole_ipv6_network_counts_as_one(host, network):
    assert network_of(host) == network


def test_a_flood_of_log_ins_is_sent_away_before_it_takes_every_thread():
    hasher = Hasher(memory_kib=64, rounds=1)
    kept = hasher.hash(PASSWORD)
    for _place in range(2 + MOST_WAITING):
        hasher._places.acquire()

    with pytest.raises(TooManyLogIns):
        hasher.verify(kept, PASSWORD)


def test_a_flood_is_answered_with_503(rig):
    for _place in range(2 + MOST_WAITING):
        rig.desk.hasher._places.acquire()

    codes, last = guess(rig)

    assert codes == [503]
    assert last.headers["retry-after"] == "1"


# requests that would keep the whole page busy


ACCENTS = "a" + "\u0301\u0316" * 50_000  # put in order within ten seconds, in which nobody else is answered


@pytest.mark.parametrize(
    ("path", "field"),
    [("/login", "name"), ("/login", "password"), ("/forgot", "email"), ("/language", "language")],
)
def test_a_text_that_no_form_asks_for_is_refused_before_its_letters_are_compared(rig, path, field):
    browser = rig.browser()
    browser.get("/login")

    answer = browser.post(path, {field: ACCENTS})

    assert answer.status_code == 422
    assert "at most 2000" in answer.text


def test_names_and_passwords_of_any_length_are_compared_at_once(rig):
    """By the command line, a plugin, a file: whatever bounds a form has."""
    assert key_of(ACCENTS)
    assert not rig.hasher.verify("", ACCENTS)
    assert fault_of(ACCENTS)
    with pytest.raises(UserRefused):
        checked_name(ACCENTS)


def test_a_position_of_blanks_is_none_at_once():
    assert fault_of_site(FirstSite("a", "en", "UTC", "x", "1" + " " * 100_000 + "x"))[0] == "position"
    assert fault_of_site(FirstSite("a", "en", "UTC", "x", "1" + " " * 98 + "x"))[0] == "position"
