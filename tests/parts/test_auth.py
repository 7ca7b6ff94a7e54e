"""Logging in: who is let in, what a session is, and how long."""

from datetime import timedelta

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from server.auth.leading import local_path
from tests.auth_rig import PASSWORD, AuthRig


@pytest.fixture
def rig(tmp_path):
    with AuthRig(tmp_path) as rig:
        rig.add("Ana", "reviewer")
        yield rig


def test_who_is_not_logged_in_is_led_to_the_form_and_from_there_back(rig):
    browser = rig.browser()

    sent = browser.get("/account?tab=keys")
    assert sent.headers["location"] == "/login?next=%2Faccount%3Ftab%3Dkeys"
    browser.get(sent.headers["location"])
    answer = browser.post("/login", {"name": " ANA ", "password": PASSWORD, "next": "/account?tab=keys"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/account?tab=keys")
    assert browser.get("/account").status_code == 200


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(rig):
    browser = rig.browser()
    browser.get("/login")

    wrong = browser.post("/login", {"name": "Ana", "password": "wrong wrong wrong"})
    nobody = browser.post("/login", {"name": "Eva", "password": "wrong wrong wrong"})

    assert wrong.status_code == nobody.status_code == 422
    assert wrong.text.replace("Ana", "Eva").replace(browser.csrf, "") == nobody.text.replace(browser.csrf, "")


def test_a_name_that_nobody_has_costs_as_much_as_a_wrong_password(rig, monkeypatch):
    looked = []
    argon = type(rig.hasher._argon)
    real = argon.verify
    monkeypatch.setattr(argon, "verify", lambda self, kept, said: looked.append(kept) or real(self, kept, said))

    for name in ("Ana", "Eva"):
        browser = rig.browser()
        browser.get("/login")
        browser.post("/login", {"name": name, "password": "wrong wrong wrong"})

    assert len(looked) == 2
    assert looked[0].split("$")[:4] == looked[1].split("$")[:4]  # the same costs


def test_the_database_has_no_password_and_no_session_in_readable_form(rig):
    browser = rig.log_in("Ana")

    rows = "\n".join(rig.web.store._engine.raw_connection().driver_connection.iterdump())
    assert PASSWORD not in rows
    assert browser.cookies["tigrillo"] not in rows


def test_a_session_lasts_as_long_as_it_is_used_and_ends_unused(rig):
    browser = rig.log_in("Ana")

    for _week in range(4):
        rig.clock.at += timedelta(days=13)
        assert browser.get("/account").status_code == 200
    rig.clock.at += timedelta(days=15)

    assert browser.get("/account").status_code == 303


def test_the_last_use_is_noted_once_a_minute(rig):
    browser = rig.log_in("Ana")
    writes = []
    object.__setattr__(rig.web, "store", Counting(rig.store, writes))

    for _second in range(61):
        rig.clock.at += timedelta(seconds=3)
        browser.get("/account")

    assert len(writes) == 3


class Counting:
    """A store that counts its transactions."""

    def __init__(self, store, writes):
        self._store, self._writes = store, writes

    def transaction(self):
        self._writes.append(1)
        return self._store.transaction()


def test_logging_out_ends_the_session_not_only_the_cookie(rig):
    browser = rig.log_in("Ana")
    stolen = dict(browser.cookies)

    assert browser.post("/logout").headers["location"] == "/login"

    thief = rig.browser()
    thief.cookies.update(stolen)
    assert thief.get("/account").status_code == 303


def test_logging_in_gives_a_new_session_and_ends_the_one_before(rig):
    browser = rig.log_in("Ana")
    first = browser.cookies["tigrillo"]
    form = rig.browser()
    form.get("/login")
    form_cookie, csrf = form.cookies["tigrillo_form"], form.csrf

    # somebody planted their session in this browser, and its user logs in over it
    answer = rig.browser().post(
        "/login",
        {"name": "Ana", "password": PASSWORD, "csrf": rig.token_of(first)},
        headers={"cookie": f"tigrillo={first}; tigrillo_form={form_cookie}"},
    )

    assert csrf
    assert answer.status_code == 303
    [fresh] = [each for each in answer.headers.get_list("set-cookie") if each.startswith("tigrillo=")]
    assert first not in fresh
    assert browser.get("/account").status_code == 303  # the planted one is over


def test_a_session_that_was_made_up_is_not_taken_over(rig):
    browser = rig.browser(headers={"cookie": "tigrillo=planted"})
    page = browser.get("/login")
    secret = page.cookies["tigrillo_form"]

    answer = browser.post(
        "/login",
        {"name": "Ana", "password": PASSWORD},
        headers={"cookie": f"tigrillo=planted; tigrillo_form={secret}"},
    )

    assert answer.status_code == 303
    assert "tigrillo=planted" not in "".join(answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("https", [False, True])
def test_cookies_are_out_of_reach_of_scripts_and_other_sites(rig, https):
    browser = rig.browser(https=https)
    browser.get("/login")
    answer = browser.post("/login", {"name": "Ana", "password": PASSWORD})

    cookies = {each.split("=")[0]: each.lower() for each in answer.headers.get_list("set-cookie")}
    prefix = "__Host-" if https else ""
    assert {f"{prefix}tigrillo", f"{prefix}tigrillo_device"} <= set(cookies)
    for cookie in cookies.values():
        parts = set(cookie.split("; "))
        assert {"httponly", "samesite=lax", "path=/"} <= parts
        assert ("secure" in parts) == https
        assert not any(each.startswith("domain=") for each in parts)


def test_over_https_a_cookie_without_the_prefix_is_nobodys(rig):
    browser = rig.log_in("Ana", https=True)
    secret = browser.cookies["__Host-tigrillo"]
    planted = rig.browser(https=True)
    planted.cookies.set("tigrillo", secret)

    assert browser.get("/account").status_code == 200
    assert planted.get("/account").status_code == 303


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "/\tevil.example/",
        "\t//evil.example",
        "/a\r\nset-cookie: x=1",
        "/a\nb",
        "/\u2028/evil",
        "evil.example",
        "",
        "/logout",
        "/login?next=/login",
        "/" + "a" * 2000,
    ],
)
def test_nothing_leads_out_of_the_page(rig, wanted):
    browser = rig.browser()
    browser.get("/login", params={"next": wanted})

    answer = browser.post("/login", {"name": "Ana", "password": PASSWORD, "next": wanted})

    assert answer.headers["location"] == "/"
    assert "x=1" not in str(answer.headers.get_list("set-cookie"))
    switched = browser.post("/language", {"language": "es", "next": wanted}, headers={"x-csrf-token": ""})
    assert switched.headers.get("location", "/").startswith("/") or switched.status_code == 403


@pytest.mark.parametrize("wanted", ["/", "/review?station=cam-01&night=1", "/species/Puma%20concolor", "/a//b"])
def test_a_path_on_the_page_is_followed(wanted):
    assert local_path(wanted) == wanted


def test_somebody_who_is_switched_off_is_out_at_once_and_can_not_come_back(rig):
    from edge.store.users import change_active  # noqa: PLC0415  # because only this test needs it

    browser = rig.log_in("Ana")
    assert browser.get("/account").status_code == 200
    ana = rig.user("Ana")

    rig.desk.change(lambda connection: change_active(connection, ana, active=False, now=rig.clock.now(), who="x"))

    assert browser.get("/account").status_code == 303
    again = rig.browser()
    again.get("/login")
    assert again.post("/login", {"name": "Ana", "password": PASSWORD}).status_code == 422


def test_what_another_process_changes_is_seen_within_seconds(rig):
    from edge.store.users import change_active  # noqa: PLC0415  # because see above

    browser = rig.log_in("Ana")
    browser.get("/account")
    ana = rig.user("Ana")
    with rig.store.transaction() as connection:
        change_active(connection, ana, active=False, now=rig.clock.now(), who="x")

    rig.clock.at += timedelta(seconds=2)

    assert browser.get("/account").status_code == 303


def test_a_password_kept_with_old_costs_is_kept_anew_at_log_in(rig):
    from edge.passwords import Hasher  # noqa: PLC0415  # because see above

    before = rig.user("Ana").password
    rig.desk.hasher = Hasher(memory_kib=128, rounds=1)
    rig.log_in("Ana")

    after = rig.user("Ana").password
    assert "m=128" in after
    assert "m=64" in before
    rig.log_in("Ana")


def test_the_language_is_kept_with_the_user(rig):
    browser = rig.log_in("Ana")

    answer = browser.post("/language", {"language": "es", "next": "/account"})

    assert answer.headers["location"] == "/account"
    assert '<html lang="es">' in rig.log_in("Ana").get("/account").text


@pytest.mark.parametrize(("proxy", "secure"), [("192.0.2.1", True), ("198.51.100.1", False)])
def test_https_is_believed_of_a_proxy_that_the_site_names_and_of_nobody_else(rig, proxy, secure):
    rig.app = ProxyHeadersMiddleware(rig.app, trusted_hosts=["192.0.2.1"])  # as uvicorn does with web.proxies
    browser = rig.browser(address=proxy, headers={"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.5"})
    browser.get("/login")

    answer = browser.post(
        "/login", {"name": "Ana", "password": PASSWORD, "csrf": browser.csrf}, headers=form_cookie(browser)
    )

    assert answer.status_code == 303
    [cookie] = [each for each in answer.headers.get_list("set-cookie") if "tigrillo=" in each]
    assert cookie.startswith("__Host-") == ("Secure" in cookie) == secure
    with rig.store.reading() as connection:
        [address] = connection.exec_driver_sql("SELECT address FROM sessions").scalars()
    assert address == ("203.0.113.5" if secure else "198.51.100.1")


def form_cookie(browser):
    """What a browser sends over https; this one talks http to the proxy, and keeps back what is Secure."""
    return {"cookie": "; ".join(f"{each.name}={each.value}" for each in browser.cookies.jar)}
