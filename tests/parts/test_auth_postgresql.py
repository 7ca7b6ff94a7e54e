"""People, sessions, keys, links and waits on PostgreSQL: the same as on SQLite."""

import re

from tests.auth_rig import PASSWORD, AuthRig
from tests.web_rig import SITE

NEW = "un puma cruza el rio"


def test_from_an_invitation_to_a_key_and_out_again(tmp_path, postgres):
    postgres.emptied()
    with AuthRig(tmp_path, SITE + f"database: {postgres.address('site', driver='')}\n") as rig:
        rig.add("Ada", "admin")
        admin = rig.log_in("Ada")
        link = re.search(
            r"/invitation/[\w-]+", admin.post("/users/invite", {"role": "reviewer", "stations": "cam-01"}).text
        )[0]
        bo = rig.browser()
        bo.get(link)
        assert bo.post(link, {"name": "Bo", "password": NEW, "again": NEW}).status_code == 303
        assert rig.user("bo").stations == {"cam-01"}

        bo.get("/account")
        made = bo.post("/account/tokens", {"name": "x", "scopes": ["see"], "confirm": NEW})
        key = re.search(r"tgl_[\w-]+", made.text)[0]
        program = rig.browser(headers={"authorization": f"Bearer {key}"})
        assert program.get("/api/v1/me").json()["stations"] == ["cam-01"]

        admin.post(f"/users/{rig.user('Bo').pk}/active", {"active": "false"})
        assert program.get("/api/v1/me").status_code == 401
        assert bo.get("/account").status_code == 303


def test_wrong_passwords_and_names_that_no_text_may_have(tmp_path, postgres):
    postgres.emptied()
    with AuthRig(tmp_path, SITE + f"database: {postgres.address('site', driver='')}\n") as rig:
        rig.add("Ana")
        browser = rig.browser()
        browser.get("/login")

        codes = [browser.post("/login", {"name": "Ana", "password": "x" * 12}).status_code for _time in range(6)]
        assert codes == [422] * 5 + [429]
        for name in ("Ana\0", "\0", "a" * 1000, "\U0001f600"):
            assert browser.post("/login", {"name": name, "password": PASSWORD}).status_code == 422, name
